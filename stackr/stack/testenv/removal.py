"""Take a test environment away: by its lease, or, on an engine without leases, from here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress

from stackr.errors import NotFound, NotSupported
from stackr.runtime import labels
from stackr.runtime.leases import Lease, Removed, end_lease
from stackr.runtime.protocol import Runtime, SupportsRawRequest
from stackr.runtime.types import ContainerState

__all__ = ["raw", "remove_environment"]


async def remove_environment(
    runtime: Runtime, project: str, lease: Lease | None, *, stop_timeout_s: float
) -> Removed:
    """Remove containers, networks and volumes, anonymous ones too. stop_timeout_s: 0 kills.

    Raises the first error, after trying all.
    """
    if lease is not None:
        with suppress(NotFound):  # its time was up, or the engine is another one now
            return await end_lease(raw(runtime), lease.id)
    return await _remove(runtime, project, stop_timeout_s)


def raw(runtime: Runtime) -> SupportsRawRequest:
    """The same runtime, for stackr's own calls. Raises NotSupported."""
    if not isinstance(runtime, SupportsRawRequest):
        raise NotSupported("engine: it has no leases")
    return runtime


async def _remove(runtime: Runtime, project: str, stop_timeout_s: float) -> Removed:
    label = [f"{labels.PROJECT}={project}"]
    containers = await runtime.list_containers(labels=label)
    if stop_timeout_s > 0:
        await _all(_stop(runtime, container, stop_timeout_s) for container in containers)
    await _all(_gone(runtime.remove_container(c.id, force=True, volumes=True)) for c in containers)
    networks = await runtime.list_networks(labels=label)
    await _all(_gone(runtime.remove_network(network.id)) for network in networks)
    volumes = await runtime.list_volumes(labels=label)
    await _all(_gone(runtime.remove_volume(volume.name, force=True)) for volume in volumes)
    return Removed(len(containers), len(networks), len(volumes))


async def _stop(runtime: Runtime, container: ContainerState, timeout_s: float) -> None:
    await _gone(runtime.stop_container(container.id, timeout_s=timeout_s))


async def _gone(call: Awaitable[None]) -> None:
    with suppress(NotFound):
        await call


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
