"""The containers of a project, as the engine lists them, in the order in which they are shown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState

_BESIDE = re.compile(r"^[0-9a-f]{12}_")
"""Before the name of a container that is to take another one's place."""

STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")

__all__ = ["STATES", "display_name", "list_containers", "project_containers"]


async def list_containers(
    runtime: Runtime,
    project: str,
    services: Iterable[str] = (),
    *,
    all: bool = False,
    states: Sequence[str] = (),
) -> list[ContainerState]:
    """Those that run, by name. all: stopped ones too, and those of `run`; states: only these."""
    listed = await project_containers(runtime, project, services, oneoff=all or bool(states))
    if states:
        listed = [container for container in listed if container.state in states]
    elif not all:
        listed = [container for container in listed if container.is_running]
    known = await asyncio.gather(*(_with_exit_code(runtime, container) for container in listed))
    return sorted(known, key=lambda container: container.name)


async def _with_exit_code(runtime: Runtime, container: ContainerState) -> ContainerState:
    """The container; inspected if the listing does not say how it ended."""
    if container.state != "exited" or container.exit_code is not None:
        return container
    inspected = await runtime.inspect_container(container.id)
    return replace(container, exit_code=inspected.exit_code)


async def project_containers(
    runtime: Runtime,
    project: str,
    services: Iterable[str] = (),
    *,
    oneoff: bool = False,
    steps: bool = False,
) -> list[ContainerState]:
    """The project's containers, stopped ones as well, by name. services: () for all.

    oneoff: those of `run` and of `pre_start` as well; steps: only the latter.
    """
    wanted = set(services)
    listed = await runtime.list_containers(labels=[f"{labels.PROJECT}={project}"])
    kept = [
        container
        for container in listed
        if (not wanted or container.labels.get(labels.SERVICE) in wanted)
        and (
            oneoff
            or container.labels.get(labels.ONEOFF, "False") != "True"
            or (steps and labels.HOOK in container.labels)
        )
    ]
    return sorted(kept, key=_by_service)


def _by_service(container: ContainerState) -> tuple[str, bool, int, str]:
    """Replicas by number, then those of `run`."""
    own = container.labels
    number = own.get(labels.CONTAINER_NUMBER, "")
    is_oneoff = own.get(labels.ONEOFF) == "True"
    place = int(number) if number.isdigit() else 0
    return (own.get(labels.SERVICE, ""), is_oneoff, place, container.name)


def display_name(container: ContainerState) -> str:
    """`web-1` where the name is the project's default one, else the whole name; of a step of
    `pre_start`, `web-pre_start.0`."""
    own = container.labels
    prefix = f"{own.get(labels.PROJECT)}-"
    if labels.HOOK in own:
        return container.name.removeprefix(prefix)
    default = f"{prefix}{own.get(labels.SERVICE)}-{own.get(labels.CONTAINER_NUMBER)}"
    name = _BESIDE.sub("", container.name)
    return name.removeprefix(prefix) if name == default else container.name
