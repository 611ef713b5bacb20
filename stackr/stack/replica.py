"""One container of a service: the replica that a command names, or the first there is."""

from __future__ import annotations

from stackr.errors import NotFound
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState
from stackr.stack.containers import project_containers

__all__ = ["find_replica", "with_number"]


async def find_replica(
    runtime: Runtime, project: str, service: str, index: int | None = None
) -> ContainerState:
    """The service's running container of this number; for None the lowest, or one of `run`.

    Raises NotFound where there is none.
    """
    containers = await project_containers(runtime, project, [service], oneoff=True)
    running = [container for container in containers if container.is_running]
    if index is not None:
        chosen = with_number(running, index)
        if chosen is None:
            raise NotFound(f'service "{service}" is not running container #{index}')
        return chosen
    if not running:
        raise NotFound(f'service "{service}" is not running', hint="start it with stackr up -d")
    return running[0]


def with_number(containers: list[ContainerState], number: int) -> ContainerState | None:
    """The replica of this number among a service's containers."""
    for container in containers:
        if container.labels.get(labels.CONTAINER_NUMBER) == str(number):
            return container
    return None
