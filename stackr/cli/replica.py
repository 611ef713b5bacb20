"""One container of a service: the replica that a command names, or the first that runs."""

from __future__ import annotations

from stackr.cli.logs import project_containers
from stackr.errors import NotFound
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState

__all__ = ["find_replica"]


async def find_replica(
    runtime: Runtime, project: str, service: str, index: int | None = None
) -> ContainerState:
    """The service's running container of this number; its lowest-numbered one if None.

    Raises NotFound where there is none.
    """
    containers = await project_containers(runtime, project, [service])
    running = [container for container in containers if container.is_running]
    if index is not None:
        for container in running:
            if container.labels.get(labels.CONTAINER_NUMBER) == str(index):
                return container
        raise NotFound(f'service "{service}" is not running container #{index}')
    if not running:
        raise NotFound(f'service "{service}" is not running', hint="start it with stackr up -d")
    return running[0]
