"""A stack on a cluster as programs use it, without a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from fake_cluster import FakeCluster, web_task

from stackr.errors import NotFound, NotSupported, Unavailable
from stackr.runtime import labels
from stackr.runtime.workloads import (
    TaskState,
    Workloads,
)
from stackr.spec.session import LoadOptions
from stackr.stack.context import Context
from stackr.stack.log_request import LogRequest
from stackr.stack.source import Source
from stackr.stack.stack import Stack
from stackr.stack.workloads.containers import newest_of_each
from stackr.stack.workloads.live import ClusterStack
from stackr.stack.workloads.task_events import changes_between
from stackr.stack.workloads.tasks import StackTask


def _live(*tasks: TaskState) -> ClusterStack:
    return ClusterStack(Source(), "shop", None, Context(), cast(Workloads, FakeCluster(*tasks)))


async def test_a_command_runs_by_the_engine_of_its_replica_s_node() -> None:
    lost = {"node": "two", "node_id": "n2"}
    live = _live(web_task("b", 2), web_task("a", 1, **lost))
    done = await live.exec("web", ["echo"])
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"echo in cb on n1", b"bad")
    assert done.container == "name-cb"
    with pytest.raises(Unavailable, match='node "two"'):
        await live.exec("web", ["echo"], index=1)
    with pytest.raises(NotFound, match="no replica 3"):
        await live.exec("web", ["echo"], index=3)


async def test_one_a_node_has_a_number_here_as_well() -> None:
    live = _live(web_task("a", 0, node_id="n2", node="two"), web_task("b", 0))
    assert (await live.exec("web", ["echo"], index=1)).stdout == b"echo in cb on n1"
    assert {each.labels[labels.CONTAINER_NUMBER] for each in await live.ps()} == {"1", "2"}


async def test_lines_come_by_their_times_under_the_names_of_replicas() -> None:
    lines = [line async for line in _live().logs()]
    assert [(each.container, each.text, each.is_error) for each in lines] == [
        ("web.1@one", "first", False),
        ("web.2@two", "second", True),
    ]
    assert lines[0].time == "1970-01-01T00:00:01.000000000Z"
    with pytest.raises(NotFound, match="db"):
        [line async for line in _live().logs(LogRequest(services=("db",)))]


async def test_replicas_are_listed_as_containers() -> None:
    live = _live(
        web_task("a", ports=((30001, 443, "tcp"),)),
        web_task("b", 2, "pending", node="", node_id="", container_id="", error="no suitable node"),
        web_task(
            "c", 3, "failed", desired_state="shutdown", exit_code=3, error="non-zero exit (3)"
        ),
    )
    (running,) = await live.ps()
    assert (running.name, running.id, running.state) == ("web.1@one", "ca", "running")
    assert [(p.host_ip, p.host_port, p.container_port) for p in running.ports] == [
        ("10.0.0.1", 30001, 443),
        ("10.0.0.1", 8080, 80),
    ]
    found = {each.name: each for each in await live.ps(all=True)}
    assert found["web.2"].state == "created"
    assert found["web.2"].status == "pending: no suitable node"
    assert (found["web.3@one"].state, found["web.3@one"].exit_code) == ("exited", 3)


def _stack_tasks(*tasks: TaskState) -> dict[str, StackTask]:
    return {task.id: StackTask("web", task) for task in tasks}


def test_of_a_replica_the_tasks_that_are_wanted_count() -> None:
    tasks = _stack_tasks(
        web_task("old", desired_state="shutdown", created_at=1),
        web_task("new", created_at=2),
        web_task("done1", 2, "complete", desired_state="shutdown", created_at=1),
        web_task("done2", 2, "complete", desired_state="shutdown", created_at=2),
    )
    assert [each.task.id for each in newest_of_each(tasks.values())] == ["new", "done2"]


def test_what_becomes_of_tasks_is_told_as_of_containers() -> None:
    before = _stack_tasks(web_task("a"), web_task("b", 2, "pending"), web_task("c", 3))
    after = _stack_tasks(
        web_task("a", state="failed", exit_code=1),
        web_task("b", 2, "pending", error="no suitable node"),
        web_task("d", 3),
        web_task("e", 4, "preparing"),
    )
    told = [(each.action, each.id) for each in changes_between(before, after, "shop", 5)]
    assert told == [
        *(("die", "ca"), ("update", "cb"), ("create", "cd"), ("start", "cd"), ("create", "ce")),
        ("destroy", "cc"),
    ]
    (died, *_) = changes_between(before, after, "shop", 5)
    assert (died.attributes["exitCode"], died.attributes["name"]) == ("1", "web.1@one")
    assert [*changes_between(after, after, "shop", 5)] == []


async def test_what_is_out_of_reach_is_not_measured_and_tried_once() -> None:
    live = _live(web_task("a", 1, node="two", node_id="n2"), web_task("b", 2))
    readings = live.usage(every_s=0)
    async for usage in readings:
        if usage:
            assert usage.keys() == {"cb"}
            break
    cluster = cast(FakeCluster, live._cluster)
    assert sorted(cluster.asked) == ["n1", "n2"]


async def test_what_a_cluster_has_no_way_of_is_refused_by_its_name() -> None:
    live = _live()
    for name, work in (
        ("start", live.start()),
        ("stop", live.stop("web")),
        ("restart: timeout_s", live.restart(timeout_s=1)),
        ("build", live.build()),
        ("watch", live.watch()),
    ):
        with pytest.raises(NotSupported, match=f"^{name}: not on a cluster"):
            await work


def test_the_engine_says_whose_stack_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word of the caller's: as it is for the command line."""
    asked: list[str] = []

    @contextlib.asynccontextmanager
    async def either(context: Context, project: str, **_: Any) -> AsyncIterator[Workloads]:
        asked.append(project)
        yield cast(Workloads, FakeCluster(web_task("a")))

    monkeypatch.setattr(Context, "open_either", either)
    source = Source(LoadOptions(project_name="shop"), {}, tmp_path)
    assert [each.name for each in Stack("shop", source).ps()] == ["web.1@one"]
    assert asked == ["shop"]
