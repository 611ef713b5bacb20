"""Managers and cables that fail in the middle of things. Slow: `scripts/test-swarm` tries them.

A Swarm takes its time to find out that a manager is gone, so these are not among all tests.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from engine_request import request
from polling import until
from swarm_documents import document, reached, service
from swarm_rig import Node, Rig

from stackr.errors import StackrError, Unavailable
from stackr.runtime.connect import connect_either
from stackr.runtime.protocol import Runtime
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.runtime.workloads import DocumentKind, ObservedDocument, Workloads, WorkloadStatus

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.environ.get("STACKR_TEST_LONG"), reason="scripts/test-swarm"),
]
_SECOND_NS = 1_000_000_000
_TRIES = 60


@contextmanager
def _managers(rig: Rig, *nodes: Node) -> Iterator[None]:
    """These are managers, too."""
    rig.manager.docker("node", "promote", *(node.name for node in nodes))

    def have_arrived() -> bool:
        """In their own eyes, too: else a killed one comes back as a worker."""
        found = rig.manager.call("GET", "/nodes")
        reach = [(each.get("ManagerStatus") or {}).get("Reachability") for each in found]
        manage = [node.call("GET", "/info")["Swarm"]["ControlAvailable"] for node in nodes]
        return reach.count("reachable") == len(nodes) + 1 and all(manage)

    until(have_arrived, "the managers")
    try:
        yield
    finally:
        until(lambda: _demoted(rig, nodes), "the workers")
        rig.wait_until_ready()


def _demoted(rig: Rig, nodes: tuple[Node, ...]) -> bool:
    """Whoever leads meanwhile; refused while there is nobody."""
    said = rig.manager.docker("node", "demote", *(node.name for node in nodes), check=False)
    return "Error" not in said


def _is_led(rig: Rig) -> bool:
    return request(rig.manager.socket, "GET", "/nodes")[0] == 200


async def test_without_a_majority_of_managers(workloads: SwarmWorkloads, rig: Rig) -> None:
    """Nothing is said to be there or gone, and all is as it was once they are back."""
    other = rig.nodes[1]
    config = document(DocumentKind.CONFIG, "c", content=b"1")
    await workloads.create(config)
    with _managers(rig, other):
        before = await workloads.observe("demo")
        other.kill()
        refused = await _refusal(workloads)
        assert refused.message == "the Swarm has no leader: too few of its managers can be reached"
        with pytest.raises(Unavailable, match="has no leader"):
            await connect_either(rig.manager.url, {}, project="demo")
        other.start()
        until(lambda: _is_led(rig), "a leader")
        assert (await workloads.observe("demo")).documents == before.documents


async def _refusal(workloads: SwarmWorkloads) -> StackrError:
    """Once the manager has found out that it is alone."""
    async with asyncio.timeout(120):
        while True:
            try:
                await workloads.observe("demo")
            except Unavailable as error:
                return error
            await asyncio.sleep(0.5)


async def _opened(node: Node) -> Runtime | Workloads:
    """Once there is a leader again."""
    async with asyncio.timeout(120):
        while True:
            with suppress(Unavailable):
                return await connect_either(f"swarm+{node.url}", {})
            await asyncio.sleep(0.5)


async def _removed(workloads: Workloads, document: ObservedDocument) -> None:
    """By whoever leads, which may change in the middle of a call: it says so."""
    for _ in range(_TRIES):
        with suppress(Unavailable):
            await workloads.remove(document.kind, document.id, version=document.version)
            return
        await asyncio.sleep(1)
    raise AssertionError("nobody leads for long enough")


async def test_another_manager_goes_on(workloads: SwarmWorkloads, rig: Rig) -> None:
    """With three of them, the leader's end is no more than another address."""
    await workloads.create(document(DocumentKind.CONFIG, "c", content=b"1"))
    identity = await workloads.identity()
    with _managers(rig, *rig.nodes[1:]):
        rig.manager.kill()
        async with await _opened(rig.nodes[1]) as opened:
            assert isinstance(opened, SwarmWorkloads)
            assert await opened.identity() == identity
            (found,) = (await opened.observe("demo")).documents
            await _removed(opened, found)
        rig.manager.start()
        until(lambda: _is_led(rig), "a leader")
        assert (await workloads.observe("demo")).documents == ()


async def test_a_manager_that_is_killed_in_an_update_goes_on_with_it(
    workloads: SwarmWorkloads, rig: Rig
) -> None:
    order = {"Parallelism": 1, "Delay": _SECOND_NS, "Monitor": _SECOND_NS // 5}
    spec: dict[str, Any] = {"Mode": {"Replicated": {"Replicas": 4}}, "UpdateConfig": order}
    id = await workloads.create(service(rig.image, **spec))
    before = await reached(workloads, "web", lambda status: status.running == 4)
    changed = service(rig.image, container={"Env": ["A=1"]}, **spec)
    await workloads.update(changed, id=id, version=before.version)
    await reached(workloads, "web", lambda status: _current(status) == 2)
    rig.manager.kill()
    rig.manager.start()
    rig.wait_until_ready()
    after = await reached(workloads, "web", lambda status: _current(status) == 4)
    assert after.running >= 4
    await reached(workloads, "web", lambda status: status.update.state == "completed")


def _current(status: WorkloadStatus) -> int:
    return sum(task.is_current and task.state == "running" for task in status.tasks)


async def test_a_node_that_is_cut_off_and_found_again(workloads: SwarmWorkloads, rig: Rig) -> None:
    worker = {"Placement": {"Constraints": ["node.role == worker"]}}
    await workloads.create(service(rig.image, template=worker))
    first = await reached(workloads, "web", lambda status: status.running == 1)
    (lost,) = [node for node in rig.nodes if node.name == first.tasks[0].node]
    with rig.cut(lost):

        def has_moved(status: WorkloadStatus) -> bool:
            return status.running == 1 and status.tasks[0].node not in ("", lost.name)

        await reached(workloads, "web", has_moved)
        assert {node.name: node.state for node in await workloads.nodes()}[lost.name] == "down"
    rig.wait_until_ready()

    def is_one(status: WorkloadStatus) -> bool:
        return [task.state for task in status.tasks].count("running") == 1

    await reached(workloads, "web", is_one)
