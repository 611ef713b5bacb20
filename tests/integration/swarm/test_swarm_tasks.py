"""What becomes of services on a real Swarm: updates, jobs, output, nodes that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from swarm_documents import document, reached, service
from swarm_rig import Rig, has_ipvs, make_context

from stackr.errors import NotFound, Unavailable
from stackr.runtime.container import ExecConfig
from stackr.runtime.docker.address import EngineAddress
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import DOCUMENT_HASH
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.runtime.workloads import Document, DocumentKind, TaskLogEntry, WorkloadStatus

pytestmark = pytest.mark.root
_SECOND_NS = 1_000_000_000
_ONE_A_NODE: dict[str, Any] = {
    "Mode": {"Replicated": {"Replicas": 3}},
    "template": {"Placement": {"MaxReplicas": 1}},
}


def _hashed(made: Document, hash: str) -> Document:
    return replace(made, labels={**made.labels, DOCUMENT_HASH: hash})


def _guarded(rig: Rig, name: str, script: str | None, action: str) -> Document:
    """With an update that fails as soon as its first task does."""
    monitor = _SECOND_NS // 5 if script is None else 20 * _SECOND_NS
    order = {"Parallelism": 1, "FailureAction": action, "Monitor": monitor}
    back = {"Parallelism": 1, "Monitor": _SECOND_NS // 5}
    words: dict[str, Any] = {} if script is None else {"script": script}
    return service(rig.image, name, UpdateConfig=order, RollbackConfig=back, **words)


async def test_updates_that_fail_are_told_apart(workloads: SwarmWorkloads, rig: Rig) -> None:
    """One that is paused, one that the engine rolls back, and one that goes well."""
    actions = {"paused": "pause", "rolled": "rollback", "well": "pause"}
    ids = {}
    for name, action in actions.items():
        ids[name] = await workloads.create(_hashed(_guarded(rig, name, None, action), "1"))
    for name in actions:
        await reached(workloads, name, lambda status: status.running == 1)
    versions = {status.service: status.version for status in await workloads.status("demo")}
    for name, action in actions.items():
        script = None if name == "well" else "echo no >&2; exit 3"
        changed = _hashed(_guarded(rig, name, script, action), "2")
        if name == "well":
            changed.spec["TaskTemplate"]["ContainerSpec"]["Env"] = ["A=2"]
        await workloads.update(changed, id=ids[name], version=versions[f"demo_{name}"])

    paused = await reached(workloads, "paused", lambda status: status.update.state == "paused")
    failed = next(task for task in paused.tasks if task.state == "failed")
    assert failed.is_current
    assert failed.exit_code == 3
    assert "non-zero exit (3)" in failed.error
    assert failed.node in {"node1", "node2", "node3"}
    assert "update paused" in paused.update.message

    def is_back(status: WorkloadStatus) -> bool:
        return status.update.state == "rollback_completed" and status.running == 1

    rolled = await reached(workloads, "rolled", is_back)
    assert not next(task for task in rolled.tasks if task.state == "failed").is_current
    well = await reached(workloads, "well", lambda status: status.update.state == "completed")
    assert well.update.completed_at >= well.update.started_at > 0
    documents = {each.name: each for each in (await workloads.observe("demo")).documents}
    hashes = {name: documents[f"demo_{name}"].labels[DOCUMENT_HASH] for name in actions}
    assert hashes == {"paused": "2", "rolled": "1", "well": "2"}


async def test_jobs_run_to_their_end(workloads: SwarmWorkloads, rig: Rig) -> None:
    never = {"RestartPolicy": {"Condition": "none"}}
    twice = {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}
    once = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    await workloads.create(service(rig.image, "twice", "exit 0", template=never, Mode=twice))
    await workloads.create(service(rig.image, "bad", "exit 4", template=never, Mode=once))
    await workloads.create(
        service(rig.image, "each", "exit 0", template=never, Mode={"GlobalJob": {}})
    )
    done = await reached(workloads, "twice", lambda status: status.completed == 2)
    assert (done.is_job, done.desired, done.running) == (True, 2, 0)
    bad = await reached(workloads, "bad", lambda status: status.tasks[0].state == "failed")
    assert (bad.completed, bad.desired, bad.tasks[0].exit_code) == (0, 1, 4)
    each = await reached(workloads, "each", lambda status: status.completed == 3)
    assert each.desired == 3
    assert {task.node for task in each.tasks} == {"node1", "node2", "node3"}


async def test_output_tells_node_and_task(workloads: SwarmWorkloads, rig: Rig) -> None:
    script = "echo one; echo two >&2; echo three; trap exit TERM; sleep 999 & wait"
    await workloads.create(service(rig.image, "web", script, **_ONE_A_NODE))
    tty = {"TTY": True}
    await workloads.create(service(rig.image, "term", "echo hello; sleep 999", container=tty))
    status = await reached(workloads, "web", lambda status: status.running == 3)
    slots = {task.id: (task.slot, task.node) for task in status.tasks}
    lines: list[TaskLogEntry] = []
    while len(lines) < 9:  # nodes hand them in as they come
        lines = [entry async for entry in workloads.logs("demo_web", timestamps=True)]
    assert {(each.stream, each.line) for each in lines} == {
        ("stdout", b"one"),
        ("stderr", b"two"),
        ("stdout", b"three"),
    }
    assert {each.task: (each.slot, each.node) for each in lines} == slots
    assert {each.node for each in lines} == {"node1", "node2", "node3"}
    assert all(each.time_ns > 0 for each in lines)
    task = status.tasks[0]
    one = [entry async for entry in workloads.logs("demo_web", task=task.id, tail=1)]
    assert [(each.slot, each.node, each.time_ns) for each in one] == [(task.slot, task.node, 0)]
    await reached(workloads, "term", lambda status: status.running == 1)
    followed = workloads.logs("demo_term", follow=True)
    assert (await _first(followed)).line == b"hello\r"
    with pytest.raises(NotFound, match="demo_none"):
        await _first(workloads.logs("demo_none"))


async def _first(entries: AsyncIterator[TaskLogEntry]) -> TaskLogEntry:
    async with asyncio.timeout(60):
        return await anext(entries)


async def test_a_network_reaches_across_nodes(workloads: SwarmWorkloads, rig: Rig) -> None:
    """By name over an overlay network, and from outside by a port of the node itself."""
    await workloads.create(document(DocumentKind.NETWORK, "net", Driver="overlay"))
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    serve = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"
    get = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 3 demo_web 80 2>/dev/null | grep hello"
    ask = f"until {get}; do sleep 0.2; done; sleep 999"
    await workloads.create(
        service(
            rig.image,
            "web",
            serve,
            container={"StopSignal": "SIGKILL"},
            template=_on("node2"),
            EndpointSpec={"Mode": "dnsrr", "Ports": [port]},
        )
    )
    await workloads.create(service(rig.image, "client", ask, template=_on("node3")))
    status = await reached(workloads, "web", lambda status: status.running == 1)
    assert status.tasks[0].ports == ((8080, 80, "tcp"),)
    assert rig.fetch(rig.nodes[1], 8080) == "hello\n"
    await reached(workloads, "client", lambda status: status.running == 1)
    assert (await _first(workloads.logs("demo_client", follow=True))).line == b"hello"

    documents = {each.name: each for each in (await workloads.observe("demo")).documents}
    for name in ("demo_web", "demo_client", "demo_net"):  # the last, as its users are ending
        await workloads.remove(documents[name].kind, documents[name].id)
    assert (await workloads.observe("demo")).documents == ()


def _on(node: str) -> dict[str, Any]:
    constraint = [f"node.hostname == {node}"]
    return {"Networks": [{"Target": "demo_net"}], "Placement": {"Constraints": constraint}}


@pytest.mark.skipif(not has_ipvs(), reason="no IPVS: the routing mesh leads nowhere here")
async def test_the_routing_mesh_answers_on_each_node(workloads: SwarmWorkloads, rig: Rig) -> None:
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8081, "PublishMode": "ingress"}
    serve = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"
    await workloads.create(service(rig.image, "web", serve, EndpointSpec={"Ports": [port]}))
    await reached(workloads, "web", lambda status: status.running == 1)
    assert [rig.fetch(node, 8081) for node in rig.nodes] == ["hello\n"] * 3


async def test_nodes_are_drained_lost_and_found(workloads: SwarmWorkloads, rig: Rig) -> None:
    """Tasks move; a killed engine is down, and is itself again once it runs."""
    not_here = {"Placement": {"Constraints": ["node.role == worker"]}}
    await workloads.create(service(rig.image, template=not_here))
    first = await reached(workloads, "web", lambda status: status.running == 1)
    (here,) = [node for node in rig.nodes if node.name == first.tasks[0].node]
    (other,) = [node for node in rig.nodes[1:] if node is not here]
    with rig.drained(here):
        await reached(workloads, "web", lambda status: _runs_on(status, other.name))
        assert _availability(await workloads.nodes()) == {
            rig.manager.name: "active",
            here.name: "drain",
            other.name: "active",
        }
    other.kill()
    try:
        await reached(workloads, "web", lambda status: _runs_on(status, here.name))
        assert {node.name: node.state for node in await workloads.nodes()}[other.name] == "down"
    finally:
        other.start()
        rig.wait_until_ready()


def _runs_on(status: WorkloadStatus, node: str) -> bool:
    return any((task.state, task.node) == ("running", node) for task in status.tasks)


def _availability(nodes: Any) -> dict[str, str]:
    return {node.name: node.availability for node in nodes}


async def test_a_manager_that_starts_again_knows_all(workloads: SwarmWorkloads, rig: Rig) -> None:
    await workloads.create(document(DocumentKind.CONFIG, "c", content=b"1"))
    nowhere = {"Placement": {"Constraints": ["node.labels.none == 1"]}}
    await workloads.create(service(rig.image, template=nowhere))
    before = await workloads.observe("demo")
    rig.manager.kill()
    with pytest.raises(Unavailable):
        await workloads.observe("demo")
    rig.manager.start()
    assert (await workloads.observe("demo")).documents == before.documents


async def test_a_nodes_own_engine(workloads: SwarmWorkloads, rig: Rig, tmp_path: Path) -> None:
    """The manager's own is at hand, another by a context of its name, which has to lead there."""
    await workloads.create(service(rig.image, Mode={"Global": {}}))
    status = await reached(workloads, "web", lambda status: status.running == 3)
    tasks = {task.node: task for task in status.tasks}
    async with await workloads.node_engine("node1") as runtime:
        assert (await runtime.inspect_container(tasks["node1"].container_id)).is_running
    with pytest.raises(Unavailable, match=r'^node "node2": its engine cannot be reached$') as told:
        await workloads.node_engine("node2")
    assert 'docker context create "node2"' in str(told.value.hint)
    for name, node in (("node2", rig.nodes[1]), ("node3", rig.nodes[1])):
        make_context(tmp_path, name, node.url)
    client = Client(EngineAddress(rig.manager.url))
    async with await SwarmWorkloads.open(client, {"DOCKER_CONFIG": str(tmp_path)}) as known:
        async with await known.node_engine(rig.node_ids()["node2"]) as runtime:
            command = ExecConfig(("hostname",))
            session = await runtime.exec(tasks["node2"].container_id, command)
            output = b"".join([data async for _, data in session.output()])
            await session.close()
        assert output.decode().strip() == tasks["node2"].container_id[:12]
        with pytest.raises(Unavailable, match=r'node "node3": .*: it is another node'):
            await known.node_engine("node3")
        with pytest.raises(NotFound, match='node "node9": not found'):
            await known.node_engine("node9")
