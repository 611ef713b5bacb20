"""Commands on one running container of a service, on whichever kind of engine it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from stackr.cli.session import OnCluster, Session
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState
from stackr.runtime.workloads import Workloads
from stackr.stack.replica import find_replica
from stackr.stack.workloads.nodes import one_container

__all__ = ["on_replica"]

T = TypeVar("T")


def on_replica(
    session: Session,
    project: str,
    service: str,
    index: int | None,
    work: Callable[[Runtime, ContainerState], Awaitable[T]],
) -> T:
    """What `work` returns of the container, and of the engine that has it: a cluster's node's own.

    index: of the replica; None for any. Raises NotFound where none runs, and Unavailable, naming
    the node, where that is out of reach.
    """

    async def here(runtime: Runtime) -> T:
        return await work(runtime, await find_replica(runtime, project, service, index))

    async def there(cluster: Workloads) -> T:
        async with one_container(cluster, project, service, index) as found:
            return await work(*found)

    return session.on_engine(here, cluster=OnCluster(project, there))
