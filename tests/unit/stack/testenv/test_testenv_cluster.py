"""What is told of an environment on a cluster that failed, without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from swarm_stacks import project

from stackr.runtime.labels import DOCUMENT_KEY
from stackr.runtime.workloads import (
    DocumentKind,
    Expiry,
    NodeState,
    Observation,
    ObservedDocument,
    TaskLogEntry,
    TaskState,
    WorkloadCapabilities,
    Workloads,
    WorkloadStatus,
)
from stackr.spec.session import LoadOptions
from stackr.stack.context import Context
from stackr.stack.source import Source
from stackr.stack.testenv import cluster as module
from stackr.stack.testenv.blueprint import draw
from stackr.stack.testenv.cluster import ClusterSite
from stackr.stack.testenv.cluster_evidence import ClusterEvidence, problem_of_tasks
from stackr.stack.testenv.cluster_logs import ClusterLogs
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.redaction import Redactor
from stackr.stack.testenv.timeline import Timeline


def _task(slot: int, state: str, error: str = "", **more: Any) -> TaskState:
    wanted = "running" if state == "running" else "shutdown"
    return TaskState(
        f"t{slot}{state}",
        "demo_web",
        slot,
        "one",
        "n1",
        state,
        wanted,
        error=error,
        **more,
    )


class _Cluster:
    """One service, whose second replica has failed once, and what it wrote."""

    dialect = "swarm"
    capabilities = WorkloadCapabilities((1, 41), 3)

    def __init__(self) -> None:
        self.moments: list[Expiry | str] = []
        tasks = (
            _task(2, "running", at=3),
            _task(2, "failed", "task: non-zero exit (3)", at=2),
            _task(1, "running", at=1),
        )
        self.found = WorkloadStatus("demo_web", desired=2, running=2, tasks=tasks)

    async def observe(self, name: str) -> Observation:
        labels = {DOCUMENT_KEY: "web"}
        web = ObservedDocument(DocumentKind.SERVICE, "demo_web", "s1", 1, {}, labels)
        return Observation(name, (web,))

    async def status(self, name: str) -> list[WorkloadStatus]:
        return [self.found]

    async def nodes(self) -> list[NodeState]:
        return [NodeState("n1", "one", "10.0.0.1")]

    async def logs(self, service: str, **window: Any) -> AsyncIterator[TaskLogEntry]:
        for slot, text in ((2, b"password=hush"), (1, b"fine")):
            yield TaskLogEntry("demo_web", "t", slot, "one", "stdout", text, 10**9 + slot)

    async def expiries(self) -> list[Expiry]:
        return []

    async def set_expiry(self, expiry: Expiry) -> None:
        self.moments.append(expiry)

    async def clear_expiry(self, name: str) -> None:
        self.moments.append(name)


async def test_a_replica_that_failed_is_told_with_its_place_and_words(tmp_path: Path) -> None:
    cluster = cast(Workloads, _Cluster())
    evidence, timeline = ClusterEvidence(cluster, "demo"), Timeline("demo")
    assert await evidence.look(timeline) == ""
    assert [(each.text, each.is_bad) for each in timeline.moments] == [
        ("web.2@one running", False),
        ("web.2@one failed: task: non-zero exit (3)", True),
        ("web.1@one running", False),
    ]
    stack = project(tmp_path, "services: {web: {image: nginx}}")
    (suspect,) = await evidence.suspects(stack, None, timeline.moments)
    assert (suspect.container, suspect.problem) == (
        "web.2@one",
        "has failed: task: non-zero exit (3)",
    )
    assert suspect.place is not None
    spoken = await evidence.output_since(0)
    assert [(each.container, each.text) for each in spoken] == [
        ("web.1@one", "fine"),
        ("web.2@one", "password=hush"),
    ]
    state = await evidence.state()
    assert [each["name"] for each in state["services"]] == ["demo_web"]
    assert len(state["tasks"]) == 3


def test_what_is_wrong_with_a_service() -> None:
    running = _task(1, "running")
    whole = WorkloadStatus("demo_web", desired=1, running=1, tasks=(running,))
    assert problem_of_tasks(whole) == ""
    nothing = WorkloadStatus("demo_web", desired=1)
    assert problem_of_tasks(nothing) == "is not up: 0 of 1 running"


async def test_logs_have_a_file_for_each_replica_and_hide_secrets(tmp_path: Path) -> None:
    logs = ClusterLogs(cast(Workloads, _Cluster()), "demo", tmp_path / "logs", Redactor(["hush"]))
    await logs.keep()
    assert logs.problems == []
    assert sorted(each.name for each in (tmp_path / "logs").iterdir()) == [
        "web.1@one.log",
        "web.2@one.log",
    ]
    assert "hush" not in (tmp_path / "logs/web.2@one.log").read_text()


async def test_it_expires_before_it_is_there_and_goes_last(
    tmp_path: Path, monkeypatch: Any
) -> None:
    project(tmp_path, "services: {web: {image: nginx, ports: ['8080:80']}}")
    cluster = _Cluster()
    source = Source(LoadOptions(), {}, tmp_path)
    options = EnvironmentOptions(ttl_s=90)
    blueprint = draw(source, "swarm+unix:///nowhere", options)
    site = ClusterSite(Context(), cast(Workloads, cluster), blueprint)
    assert site.blueprint.instance.project.services["web"].ports[0].mode == "host"
    monkeypatch.setattr(module, "_BEAT_S", 0)
    await site.hold()
    while len(cluster.moments) < 3:
        await asyncio.sleep(0)
    await site.deafen()
    first, *_, last = cluster.moments
    assert isinstance(first, Expiry)
    assert isinstance(last, Expiry)
    assert (first.project, first.with_volumes) == (blueprint.name, True)
    assert first.at == last.at, "its own time is less than what a lost client is given"
    await site.keep()
    assert cluster.moments[-1] == blueprint.name, "kept for good"
