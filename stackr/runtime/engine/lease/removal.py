"""Take away all that belongs to a project: containers at once, then networks, then volumes.

What belongs to it is found by the project's label, so that nothing has to be written down, and a
removal that was cut off is simply begun again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from stackr.errors import Conflict, NotFound, NotModified, Unavailable
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.service import Containers
from stackr.runtime.engine.network.service import Networks
from stackr.runtime.engine.network.types import Network
from stackr.runtime.engine.volume import Volume, Volumes

__all__ = ["PROJECT", "Removed", "Resources", "remove_project"]

T = TypeVar("T")
PROJECT = "com.docker.compose.project"
HISTORY = "io.stackr.history"
"""Of a volume that keeps a revision: whose."""
_AT_ONCE = 32
_PATIENCE_S = 60.0
_POLL_S = 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removed:
    """How many of each are gone."""

    containers: int = 0
    networks: int = 0
    volumes: int = 0


@dataclass(frozen=True, slots=True)
class Resources:
    """The parts of the engine that a project may have something of."""

    containers: Containers
    networks: Networks
    volumes: Volumes

    def volume_names(self, project: str) -> tuple[str, ...]:
        """The project's volumes that are there now."""
        volumes = self.volumes.list()
        return tuple(
            v.name for v in volumes if project in (v.labels.get(PROJECT), v.labels.get(HISTORY))
        )

    def is_empty(self, project: str) -> bool:
        """Whether the project has no container, running or not."""
        return not _of(self.containers, project)


async def remove_project(
    resources: Resources,
    project: str,
    *,
    keep_volumes: Collection[str] | None,
    stop_timeout_s: float = 0,
) -> Removed:
    """Remove containers, networks and volumes; what others have joined to them is cut off.

    keep_volumes: the named volumes that stay; None: every volume stays, the anonymous ones too.
    Raises the first error where something cannot be removed, after trying all of it.
    """
    with_volumes = keep_volumes is not None
    anonymous = _anonymous(resources, project) if with_volumes else set()
    containers = await _remove_containers(
        resources.containers, project, with_volumes, stop_timeout_s
    )
    networks = [n for n in resources.networks.list() if n.spec.labels.get(PROJECT) == project]
    await _each(networks, lambda network: _remove_network(resources, network))
    volumes = [
        volume
        for volume in resources.volumes.list()
        if volume.name in anonymous
        or (
            keep_volumes is not None
            and volume.name not in keep_volumes
            and project in (volume.labels.get(PROJECT), volume.labels.get(HISTORY))
        )
    ]
    gone = await _each(volumes, lambda volume: _remove_volume(resources.volumes, volume))
    return Removed(containers, len(networks), sum(gone))


def _anonymous(resources: Resources, project: str) -> set[str]:
    """Those that a container was given by name, of one whose place it took."""
    mounted = {
        mount.source
        for container in _of(resources.containers, project)
        for mount in container.host_config.mounts
        if mount.type == "volume"
    }
    return {v.name for v in resources.volumes.list() if v.is_anonymous and v.name in mounted}


async def _remove_containers(
    containers: Containers, project: str, with_volumes: bool, stop_timeout_s: float
) -> int:
    """Until there are none; one that is being removed by another call is waited for."""
    deadline = time.monotonic() + _PATIENCE_S
    if stop_timeout_s > 0:
        grace_s = max(1, round(stop_timeout_s))
        await _each(_of(containers, project), lambda c: _stop(containers, c, grace_s))
    count = 0
    while going := _of(containers, project):
        if time.monotonic() > deadline:
            raise Unavailable(f"container {going[0].name}: another removal of it does not end")
        gone = await _each(going, lambda c: _remove_container(containers, c, with_volumes))
        count += sum(gone)
        if not all(gone):
            await asyncio.sleep(_POLL_S)
    return count


def _of(containers: Containers, project: str) -> list[Container]:
    return [c for c in containers.list() if c.config.labels.get(PROJECT) == project]


async def _stop(containers: Containers, container: Container, timeout_s: int) -> bool:
    with suppress(NotFound, NotModified, Conflict):
        await containers.stop(container.id, timeout_s=timeout_s)
    return True


async def _remove_container(
    containers: Containers, container: Container, with_volumes: bool
) -> bool:
    """False where another call is at it."""
    try:
        await containers.remove(container.id, force=True, volumes=with_volumes)
    except NotFound:
        return True
    except Conflict as error:
        if "already in progress" not in error.message:
            raise
        return False
    return True


async def _remove_network(resources: Resources, network: Network) -> bool:
    for endpoint in resources.networks.endpoints(network.id):
        with suppress(NotFound, Conflict):
            await resources.containers.disconnect(endpoint.container_id, network.name, force=True)
    with suppress(NotFound):
        await resources.networks.remove(network.id)
    return True


async def _remove_volume(volumes: Volumes, volume: Volume) -> bool:
    """False where a container of another project uses it, to which it is left."""
    try:
        await volumes.remove(volume.name, force=True)
    except Conflict as error:
        _log.warning("volume %s stays: %s", volume.name, error)
        return False
    return True


async def _each(items: Iterable[T], remove: Callable[[T], Awaitable[bool]]) -> list[bool]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> bool:
        async with room:
            return await remove(item)

    results = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, bool)]
