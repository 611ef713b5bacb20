"""A cluster of one service whose tasks the test says; one of its two nodes is out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from stackr.errors import Unavailable
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState, ContainerStats
from stackr.runtime.workloads import (
    DocumentKind,
    NodeState,
    Observation,
    ObservedDocument,
    TaskLogEntry,
    TaskState,
    WorkloadCapabilities,
    Workloads,
    WorkloadStatus,
)

__all__ = ["FakeCluster", "web_task"]

WEB = ObservedDocument(
    DocumentKind.SERVICE,
    "shop_web",
    "s1",
    1,
    labels={labels.STACK_NAMESPACE: "shop", labels.DOCUMENT_KEY: "web"},
)


def web_task(id: str, slot: int = 1, state: str = "running", **more: Any) -> TaskState:
    given = {"node": "one", "node_id": "n1", "container_id": f"c{id}", **more}
    return TaskState(id, "shop_web", slot, state=state, **given)


class NodeEngine:
    """Of a node: each command says where it ran."""

    def __init__(self, node: str) -> None:
        self.node = node

    async def __aenter__(self) -> NodeEngine:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def inspect_container(self, ref: str) -> ContainerState:
        return ContainerState(ref, f"name-{ref}")

    async def exec(self, ref: str, config: Any) -> Program:
        return Program(f"{config.command[0]} in {ref} on {self.node}")

    async def exec_detached(self, ref: str, config: Any) -> None:
        raise AssertionError(ref)

    async def stats(self, ref: str, *, stream: bool = True) -> AsyncIterator[ContainerStats]:
        yield ContainerStats(cpu_percent=1)
        await asyncio.Event().wait()


class Program:
    def __init__(self, said: str) -> None:
        self._said = said

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        yield "stdout", self._said.encode()
        yield "stderr", b"bad"

    async def exit_code(self) -> int:
        return 3

    async def close(self) -> None:
        """Nothing is open."""


class FakeCluster:
    """Of one service; node n2 is out of reach."""

    dialect = "swarm"
    capabilities = WorkloadCapabilities((1, 52), 2)

    def __init__(self, *tasks: TaskState) -> None:
        self.tasks = tasks
        self.asked: list[str] = []

    async def observe(self, project: str, **_: Any) -> Observation:
        return Observation(project, (WEB,))

    async def status(self, project: str, **_: Any) -> list[WorkloadStatus]:
        return [WorkloadStatus("shop_web", tasks=self.tasks, ports=((8080, 80, "tcp"),))]

    async def nodes(self) -> list[NodeState]:
        return [NodeState("n1", "one", "10.0.0.1"), NodeState("n2", "two")]

    async def node_engine(self, node: str) -> Runtime:
        self.asked.append(node)
        if node == "n2":
            raise Unavailable('node "two": its engine cannot be reached')
        return cast(Runtime, NodeEngine(node))

    async def logs(self, service: str, **window: Any) -> AsyncIterator[TaskLogEntry]:
        yield TaskLogEntry("shop_web", "t2", 2, "two", "stderr", b"second", 2 * 10**9)
        yield TaskLogEntry("shop_web", "t1", 1, "one", "stdout", b"first\r", 10**9)

    async def resolve_image(self, reference: str) -> str:
        raise Unavailable("no registry")

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> FakeCluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


def _unasked(*_: Any, **__: Any) -> None:
    raise AssertionError("this fake does not answer that")


for _name in dir(Workloads):
    if not (_name.startswith("_") or hasattr(FakeCluster, _name)):
        setattr(FakeCluster, _name, _unasked)  # it has all that the seam has, as far as one can see
