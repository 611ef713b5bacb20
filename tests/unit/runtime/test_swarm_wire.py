"""What of a Swarm's API becomes what, without a Swarm."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from stackr.errors import (
    AlreadyExists,
    Conflict,
    Internal,
    InvalidArgument,
    NotFound,
    StackrError,
    Unavailable,
)
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import HISTORY, REVISION
from stackr.runtime.swarm import revisions
from stackr.runtime.swarm.documents import References, document_body, network_document
from stackr.runtime.swarm.jobs import emptied, is_job
from stackr.runtime.swarm.logs import Origin, origin_of
from stackr.runtime.swarm.nodes import named, node_state
from stackr.runtime.swarm.refusals import explained
from stackr.runtime.swarm.role import is_manager, nodes_of
from stackr.runtime.swarm.tasks import task_state, workload_status
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.runtime.workloads import Document, DocumentKind, NodeState, RevisionRecord


def test_a_service_refers_by_name_and_id() -> None:
    files = [{"ConfigName": "demo_c", "File": {"Name": "/c"}}]
    spec = {"TaskTemplate": {"ContainerSpec": {"Image": "i", "Configs": files}}}
    document = Document(DocumentKind.SERVICE, "demo_web", "web", spec, {"a": "b"})
    body = document_body(document, References({"demo_c": "id1"}, {}))
    assert body["Name"] == "demo_web"
    assert body["Labels"] == {"a": "b"}
    assert body["TaskTemplate"]["ContainerSpec"]["Configs"] == [
        {"ConfigName": "demo_c", "ConfigID": "id1", "File": {"Name": "/c"}}
    ]
    assert files == [{"ConfigName": "demo_c", "File": {"Name": "/c"}}], "the document is as it was"
    with pytest.raises(NotFound, match='service "demo_web": config "demo_c": not found'):
        document_body(document, References({}, {"demo_c": "id2"}))


def test_a_job_is_emptied_before_it_goes() -> None:
    spec = {"Name": "j", "Mode": {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}}
    nothing = {"ReplicatedJob": {"MaxConcurrent": 0, "TotalCompletions": 0}}
    assert emptied(spec) == {"Name": "j", "Mode": nothing}
    everywhere = {"Mode": {"GlobalJob": {}}, "TaskTemplate": {"Placement": {"Constraints": ["a"]}}}
    task = emptied(everywhere)["TaskTemplate"]
    assert task == {"Placement": {"Constraints": ["node.id == none"]}}
    assert everywhere["TaskTemplate"] == {"Placement": {"Constraints": ["a"]}}, "as it was"
    assert is_job({"Spec": spec})
    assert not is_job({"Spec": {"Mode": {"Global": {}}}})


def test_content_and_networks_have_bodies() -> None:
    config = Document(DocumentKind.CONFIG, "demo_c", "c", {}, {}, b"\x00\xff")
    assert document_body(config) == {"Name": "demo_c", "Labels": {}, "Data": "AP8="}
    network = document_body(Document(DocumentKind.NETWORK, "n", "n", {"Driver": "overlay"}))
    assert network == {"Name": "n", "Labels": {}, "Driver": "overlay", "CheckDuplicate": True}


def test_a_network_has_no_version() -> None:
    item: dict[str, Any] = {
        "Name": "demo_net",
        "Id": "n1",
        "Created": "2026-01-02T03:04:05.5Z",
        "Labels": None,
        "Driver": "overlay",
        "Scope": "swarm",
        "Containers": None,
        "Peers": [],
    }
    found = network_document(item)
    assert (found.version, found.labels, found.created_at) == (0, {}, 1767323045.5)
    assert found.spec == {"Driver": "overlay", "Scope": "swarm"}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Internal("update out of sequence"), Conflict, "service X: changed by somebody else mean"),
        (
            Conflict("name conflicts with an existing object: service x already exists"),
            AlreadyExists,
            "service X: the name is taken",
        ),
        (InvalidArgument("config 'c' is in use by y"), Conflict, "service X: config 'c' is in use"),
        (Internal("network n1 not found"), NotFound, "service X: not found"),
        (
            Internal("The swarm does not have a leader. It's possible that too few managers"),
            Unavailable,
            "the Swarm has no leader: too few of its managers can be reached",
        ),
        (Internal("context deadline exceeded"), Unavailable, "the Swarm has no leader"),
        (
            Internal("raft: failed to process the request: node lost leader status"),
            Unavailable,
            "service X: another manager of the Swarm has come to lead",
        ),
        (InvalidArgument("name must be valid"), InvalidArgument, "service X: name must be valid"),
        (Unavailable('engine "u": cannot connect'), Unavailable, 'engine "u": cannot connect'),
    ],
)
def test_refusals_in_plain_words(error: StackrError, kind: type[StackrError], message: str) -> None:
    found = explained(error, "service X")
    assert type(found) is kind
    assert found.message.startswith(message)
    assert explained(found, "service X").message == found.message, "explained once"


@pytest.mark.parametrize(
    ("line", "origin", "text"),
    [
        (
            b"com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,"
            b"com.docker.swarm.task.id=t1 hello  world",
            Origin("t1", "n1"),
            b"hello  world",
        ),
        (
            b"a%3Db=c%2Cd,com.docker.swarm.node.id=n1,com.docker.swarm.task.id=t1 ",
            Origin("t1", "n1"),
            b"",
        ),
        (b"error from daemon in stream", Origin(), b"error from daemon in stream"),
        (b"", Origin(), b""),
    ],
)
def test_lines_tell_their_task(line: bytes, origin: Origin, text: bytes) -> None:
    assert origin_of(line) == (origin, text)


def _task(id: str, state: str, **more: Any) -> dict[str, Any]:
    container = {"ContainerID": f"c{id}", "ExitCode": 3}
    return {
        "ID": id,
        "CreatedAt": f"2026-01-01T00:00:0{id}Z",
        "Slot": 1,
        "NodeID": "n1",
        "DesiredState": "running",
        "Spec": {"ContainerSpec": {"Image": "i"}},
        "Status": {"State": state, "ContainerStatus": container},
        **more,
    }


def _service(mode: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Spec": {"Name": "demo_web", "Mode": mode}, "Version": {"Index": 7}, **more}


def test_a_status_counts_the_tasks_that_shall_run() -> None:
    tasks = [_task("1", "failed"), _task("2", "running"), _task("3", "running")]
    mode = {"Replicated": {"Replicas": 3}}
    found = workload_status(_service(mode), tasks, {"n1": "node1"}, {"3"})
    assert (found.desired, found.running, found.completed, found.version) == (3, 2, 0, 7)
    assert [(task.id, task.is_current, task.exit_code) for task in found.tasks] == [
        ("3", True, None),
        ("2", False, None),
        ("1", False, 3),
    ]
    lost = _task("4", "running", DesiredState="shutdown", NodeID="n2")
    found = workload_status(_service({"Global": {}}), [*tasks, lost], {}, {"3"})
    assert (found.desired, found.running) == (1, 2)
    assert found.tasks[0].node == ""


def test_a_job_counts_its_newest_run() -> None:
    tasks = [
        _task("1", "complete", JobIteration={"Index": 1}),
        _task("2", "complete", JobIteration={"Index": 2}),
        _task("3", "running", JobIteration={"Index": 2}),
    ]
    job = _service(
        {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}},
        JobStatus={"JobIteration": {"Index": 2}},
    )
    found = workload_status(job, tasks, {}, {"1", "2", "3"})
    assert (found.is_job, found.desired, found.completed) == (True, 2, 1)
    assert [task.is_current for task in found.tasks] == [True, True, False]
    defaults = workload_status(_service({"ReplicatedJob": None}), [], {}, ())
    assert (defaults.is_job, defaults.desired) == (True, 1)
    each = _service({"GlobalJob": {}}, JobStatus={"JobIteration": {"Index": 2}})
    assert workload_status(each, tasks, {}, {"1", "2", "3"}).desired == 1


def test_a_task_that_never_had_a_container() -> None:
    task = {
        "ID": "1",
        "DesiredState": "ready",
        "Status": {"State": "rejected", "Err": "No such image: x", "Message": "preparing"},
    }
    found = task_state(task, "demo_web", "")
    assert (found.exit_code, found.error, found.message) == (None, "No such image: x", "preparing")
    assert (found.slot, found.node, found.ports) == (0, "", ())


def test_ports_are_told_once() -> None:
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    task = {"ID": "1", "Status": {"State": "running", "PortStatus": {"Ports": [port, port]}}}
    assert task_state(task, "demo_web", "").ports == ((8080, 80, "tcp"),)


def test_nodes_by_name_and_id() -> None:
    nodes = [NodeState("i1", "a"), NodeState("i2", "b"), NodeState("i3", "b")]
    assert named(nodes, "a") is named(nodes, "i1") is nodes[0]
    with pytest.raises(NotFound, match='node "b": 2 nodes have this name'):
        named(nodes, "b")
    with pytest.raises(NotFound, match='node "c": not found'):
        named(nodes, "c")
    assert node_state({"ID": "i1"}) == NodeState("i1", "i1", state="unknown")


def _kept(record: RevisionRecord) -> list[Any]:
    """Its configs as the manager would list them."""
    return [
        revisions._read({"ID": f"i{n}", "Version": {"Index": n}, "Spec": body})
        for n, body in enumerate(revisions._bodies(record))
    ]


def test_revisions_go_through_pieces() -> None:
    size = revisions.PIECE_BYTES
    project = "a" * 63
    for content in (b"", b"x", b"x" * size, bytes(range(256)) * 8000):
        record = RevisionRecord(project, 123456, content, {"io.stackr.by": "me", HISTORY: "mine"})
        bodies = revisions._bodies(record)
        assert len(bodies) == max(1, -(-len(content) // size))
        assert all(len(body["Name"]) <= 64 for body in bodies)
        assert all(body["Labels"][REVISION] == "123456" for body in bodies)
        kept = _kept(record)
        (found,) = revisions.heads_and_pieces(project, kept[::-1])
        assert (found.number, found.content) == (123456, content)
        assert found.labels == {"io.stackr.by": "me"}
        for missing in range(len(kept)):
            rest = [each for n, each in enumerate(kept) if n != missing]
            assert revisions.heads_and_pieces(project, rest) == ()


def test_two_that_were_cut_off_do_not_mix() -> None:
    one, two = (RevisionRecord("p", 1, text * 1_000_000) for text in (b"a", b"b"))
    (found,) = revisions.heads_and_pieces("p", [*_kept(one), *_kept(two)[1:]])
    assert found.content == one.content
    foreign = {"Labels": {REVISION: "x", HISTORY: "p"}, "Name": "n"}
    assert revisions._read({"ID": "i", "Version": {"Index": 1}, "Spec": foreign}) is None


class _Engine:
    """A client of an engine that answers so."""

    def __init__(self, answers: dict[str, Any], swarm: str | None = None) -> None:
        self.swarm = swarm
        self.capabilities: frozenset[str] = frozenset()
        self.has_lasting_id = True
        self.address = type("Address", (), {"url": "unix:///e"})
        self._answers = answers

    async def version(self) -> tuple[int, int]:
        return (1, 41)

    async def call(self, method: str, path: str, **_: Any) -> Any:
        answer = self._answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


_NO_MANAGER = Unavailable("This node is not a swarm manager. Use ...")
_LOCKED = Unavailable("Swarm is encrypted and needs to be unlocked before it can be used.")
_NO_LEADER = Internal("The swarm does not have a leader. ...")


@pytest.mark.parametrize(
    ("swarm", "nodes", "manages"),
    [
        (None, [], True),
        (None, _NO_LEADER, True),
        (None, _LOCKED, True),
        (None, _NO_MANAGER, False),
        (None, NotFound("page not found"), False),
        ("active/manager", None, True),
        ("locked", None, True),
        ("active/worker", None, False),
        ("inactive", None, False),
    ],
)
async def test_who_manages(swarm: str | None, nodes: Any, manages: bool) -> None:
    engine = _Engine({"/nodes": nodes}, swarm)
    assert await is_manager(cast(Client, engine)) is manages


@pytest.mark.parametrize(
    ("nodes", "state", "message"),
    [
        (_NO_MANAGER, {"LocalNodeState": "inactive"}, "it is part of no Swarm"),
        (_NO_MANAGER, {"LocalNodeState": "active"}, 'node "box" is a worker of its Swarm'),
        (_NO_MANAGER, {"LocalNodeState": "error", "Error": "no disk"}, "Swarm: no disk"),
        (_LOCKED, {}, "its Swarm is locked"),
        (_NO_LEADER, {}, "the Swarm has no leader"),
    ],
)
async def test_why_an_engine_manages_nothing(
    nodes: Exception, state: dict[str, Any], message: str
) -> None:
    engine = _Engine({"/nodes": nodes, "/info": {"Name": "box", "Swarm": state}})
    with pytest.raises(Unavailable, match=message):
        await nodes_of(cast(Client, engine))


class _Manager(_Engine):
    """An engine whose answers come together, once so many calls are under way: others fail."""

    def __init__(self, at_once: int, nodes: Any = ()) -> None:
        lists = ("/networks", "/configs", "/secrets", "/services")
        super().__init__({"/nodes": nodes, **{path: [] for path in lists}})
        self._begun = asyncio.Barrier(at_once)
        self.calls: list[str] = []

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        self.calls.append(path)
        if len(self.calls) <= self._begun.parties:
            await self._begun.wait()
        return await super().call(method, path, **arguments)

    async def close(self) -> None:
        """Nothing is open."""


async def test_what_is_observed_next_is_asked_for_with_the_nodes() -> None:
    """And once; a later look, which a change may have come before, asks again."""
    engine = _Manager(at_once=6)
    async with await SwarmWorkloads.open(cast(Client, engine), {}, next_observed="demo") as swarm:
        await swarm.observe("demo")
        assert len(engine.calls) == 6
        await swarm.observe("demo")
        assert len(engine.calls) == 11


@pytest.mark.parametrize("observed", ["", "other"])
async def test_another_project_is_asked_for_by_itself(observed: str) -> None:
    engine = _Manager(at_once=1)
    opening = SwarmWorkloads.open(cast(Client, engine), {}, next_observed=observed)
    async with await opening as swarm:
        before = len(engine.calls)
        await swarm.observe("demo")
        assert len(engine.calls) == before + 5


async def test_calls_that_nobody_waits_for_end_with_the_engine() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(Unavailable, match="no leader"):
        await SwarmWorkloads.open(cast(Client, _Manager(1, _NO_LEADER)), {}, next_observed="demo")
    swarm = await SwarmWorkloads.open(cast(Client, _Manager(1)), {}, next_observed="demo")
    await swarm.close()
    assert asyncio.all_tasks() == before
