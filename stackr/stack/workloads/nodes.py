"""The containers of a cluster's tasks, through the engines of the nodes that they are on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from stackr.errors import NotFound, NotSupported, Unavailable
from stackr.runtime.protocol import Runtime, SupportsStats
from stackr.runtime.types import Closing, ContainerState, ContainerStats
from stackr.runtime.workloads import SupportsNodeEngines, Workloads
from stackr.stack.workloads.tasks import StackTask, list_tasks, replica_numbers

__all__ = ["NodeEngines", "one_container", "running_tasks"]


async def running_tasks(
    cluster: Workloads, project: str, services: Collection[str] = (), number: int | None = None
) -> list[StackTask]:
    """Those of services, () for all, whose containers run; number: the replica with it alone.

    Raises NotFound where there are none.
    """
    found = [
        each
        for each in await list_tasks(cluster, project, services)
        if each.task.state == "running"
    ]
    numbers = replica_numbers(found)
    found = [each for each in found if number in (None, numbers[each.task.id])]
    if found:
        return found
    what = f"service {', '.join(sorted(services))}" if services else f'stack "{project}"'
    which = f"replica {number}" if number is not None else "replica"
    raise NotFound(f"{what}: no {which} is running", hint="see stackr ps --all")


@asynccontextmanager
async def one_container(
    cluster: Workloads, project: str, service: str, number: int | None = None
) -> AsyncIterator[tuple[Runtime, ContainerState]]:
    """The container of a replica, and the engine of its node; of any, where no number is given.

    Raises NotFound where none runs, and Unavailable, naming the node, where it is out of reach.
    """
    tasks = await running_tasks(cluster, project, [service], number)
    async with NodeEngines(cluster) as engines:
        runtime, chosen = await engines.first(tasks)
        yield runtime, await runtime.inspect_container(chosen.task.container_id)


class NodeEngines(Closing):
    """Opened as they are asked for, each once; an async context manager closes them."""

    def __init__(self, cluster: Workloads) -> None:
        self._cluster = cluster
        self._opened: dict[str, Runtime] = {}
        self._owners: dict[str, Runtime] = {}
        self._out_of_reach: set[str] = set()
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def of(self, task: StackTask) -> Runtime:
        """Raises Unavailable, with the node's name, where it is out of reach."""
        if not isinstance(self._cluster, SupportsNodeEngines):
            raise NotSupported("this cluster's nodes cannot be reached one by one")
        node = task.task.node_id or task.task.node
        async with self._turn:
            if node not in self._opened:
                runtime = await self._cluster.node_engine(node)
                self._opened[node] = await self._stack.enter_async_context(runtime)
            return self._opened[node]

    async def first(self, tasks: Sequence[StackTask]) -> tuple[Runtime, StackTask]:
        """The first task whose node is within reach. Raises as `of` for the very first if none is.

        tasks: one at least.
        """
        failure: Unavailable | None = None
        for task in tasks:
            try:
                return await self.of(task), task
            except Unavailable as error:
                failure = failure or error
        assert failure is not None
        raise failure

    async def within_reach(self, tasks: Sequence[StackTask]) -> list[str]:
        """The containers that `stats` can be asked for; no node is tried twice that was not there.

        tasks: with containers.
        """
        found = []
        for each in tasks:
            if each.task.node_id in self._out_of_reach:
                continue
            try:
                self._owners[each.task.container_id] = await self.of(each)
            except Unavailable:
                self._out_of_reach.add(each.task.node_id)
            else:
                found.append(each.task.container_id)
        return found

    async def containers(self, tasks: Sequence[StackTask]) -> list[tuple[Runtime, ContainerState]]:
        """Each with its engine; those that have ended meanwhile are left out."""
        engines = [await self.of(task) for task in tasks]
        found = await asyncio.gather(
            *(
                self._container(runtime, task.task.container_id)
                for runtime, task in zip(engines, tasks, strict=True)
            )
        )
        return [
            (runtime, container)
            for runtime, container in zip(engines, found, strict=True)
            if container is not None
        ]

    async def _container(self, runtime: Runtime, ref: str) -> ContainerState | None:
        try:
            found = await runtime.inspect_container(ref)
        except NotFound:
            return None
        self._owners[found.id] = runtime
        return found

    async def stats(self, ref: str, *, stream: bool = True) -> AsyncIterator[ContainerStats]:
        """Of a container that one of the two above has found; see `protocol.SupportsStats`."""
        runtime = self._owners[ref]
        if not isinstance(runtime, SupportsStats):
            raise NotSupported("stats: the node's engine does not offer it")
        async for reading in runtime.stats(ref, stream=stream):
            yield reading

    async def close(self) -> None:
        await self._stack.aclose()
