"""When a dependency is ready, when it never will be, and what is said then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from fake_runtime import FakeRuntime

from stackr.errors import Conflict, DeadlineExceeded, Unavailable
from stackr.executor.conditions import Verdict, Watch, judge, wait_for
from stackr.planner.plan.payloads import WaitFor
from stackr.runtime import labels
from stackr.runtime.types import ContainerState, EngineEvent

RUNNING = ContainerState(id="1", name="demo-db-1", state="running", started_at=1)
EXITED = replace(RUNNING, state="exited", exit_code=3)
UNHEALTHY = replace(RUNNING, health="unhealthy", health_exit_code=1, health_output="no\nroute\n")


def wait(condition: str, *needed_by: str, timeout_s: float | None = 60) -> WaitFor:
    return WaitFor("demo-db-1", condition, "db", needed_by, timeout_s)


@pytest.mark.parametrize(
    ("condition", "state", "expected"),
    [
        ("service_started", RUNNING, Verdict(ready=True, text="started")),
        ("service_started", EXITED, Verdict(ready=True, text="started")),
        ("service_started", ContainerState("1", "x"), Verdict(text="created")),
        (
            "service_healthy",
            replace(RUNNING, health="healthy"),
            Verdict(ready=True, text="healthy"),
        ),
        ("service_healthy", replace(RUNNING, health="starting"), Verdict(text="starting")),
        ("service_healthy", replace(RUNNING, state="restarting"), Verdict(text="restarting")),
        (
            "service_healthy",
            RUNNING,
            Verdict(
                error="dependency failed to start: container demo-db-1 has no healthcheck "
                "configured"
            ),
        ),
        (
            "service_healthy",
            UNHEALTHY,
            Verdict(
                error="dependency failed to start: container demo-db-1 is unhealthy: "
                'last health check exited 1: "no route"'
            ),
        ),
        (
            "service_healthy",
            replace(UNHEALTHY, health_output=""),
            Verdict(
                error="dependency failed to start: container demo-db-1 is unhealthy: "
                "last health check exited 1 with no output"
            ),
        ),
        (
            "service_healthy",
            EXITED,
            Verdict(error="dependency failed to start: container demo-db-1 exited (3)"),
        ),
        (
            "service_healthy",
            replace(EXITED, exit_code=137, oom_killed=True),
            Verdict(
                error="dependency failed to start: container demo-db-1 exited (137): out of memory"
            ),
        ),
        ("running_or_healthy", RUNNING, Verdict(ready=True, text="running", steady_s=0.5)),
        (
            "running_or_healthy",
            replace(RUNNING, health="healthy", restart_count=1),
            Verdict(ready=True, text="healthy", steady_s=0.5),
        ),
        (
            "running_or_healthy",
            replace(UNHEALTHY, state="restarting", restart_count=6, exit_code=2),
            Verdict(text="restarting"),
        ),
        (
            "running_or_healthy",
            replace(RUNNING, state="restarting", restart_count=7, exit_code=2),
            Verdict(
                error="dependency failed to start: container demo-db-1 keeps restarting: it exited"
                " (2) 7 times"
            ),
        ),
        (
            "service_completed_successfully",
            replace(RUNNING, state="restarting", restart_count=70, exit_code=2),
            Verdict(text="restarting"),
        ),
        ("running_or_healthy", replace(RUNNING, health="starting"), Verdict(text="starting")),
        (
            "service_completed_successfully",
            replace(EXITED, exit_code=0),
            Verdict(ready=True, text="exited with code 0"),
        ),
        ("service_completed_successfully", RUNNING, Verdict(text="running")),
        (
            "service_completed_successfully",
            EXITED,
            Verdict(error='service "db" didn\'t complete successfully: exit 3'),
        ),
    ],
)
def test_judge(condition: str, state: ContainerState, expected: Verdict) -> None:
    assert judge(state, wait(condition, "web")) == expected


def test_long_output_is_cut_from_the_front() -> None:
    state = replace(UNHEALTHY, health_output="x" * 5000 + " the end")
    error = judge(state, wait("service_healthy")).error
    assert error.endswith('the end"')
    assert len(error) < 600


def with_container(runtime: FakeRuntime, state: ContainerState) -> None:
    runtime.containers[state.id] = replace(state, labels={labels.PROJECT: "demo"})


async def test_what_ends_right_after_its_start_was_not_ready() -> None:
    runtime = FakeRuntime()
    with_container(runtime, RUNNING)
    watch = Watch(runtime, "demo")
    waiting = asyncio.create_task(wait_for(runtime, wait("running_or_healthy"), watch, print))
    while "inspect_container demo-db-1" not in runtime.calls:
        await asyncio.sleep(0)
    with_container(runtime, replace(RUNNING, state="exited", exit_code=4))
    runtime.emit("die", runtime.containers[RUNNING.id])
    with pytest.raises(Conflict, match=r"exited \(4\)"):
        await waiting
    await watch.close()


async def test_each_restart_begins_the_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes back five times, runs for a while each time, and then stays."""
    monkeypatch.setattr("stackr.executor.conditions._POLL_S", 0.01)
    monkeypatch.setattr("stackr.executor.conditions._STEADY_S", 0.1)
    runtime = FakeRuntime()
    with_container(runtime, RUNNING)
    watch = Watch(runtime, "demo")
    waiting = asyncio.create_task(wait_for(runtime, wait("running_or_healthy"), watch, print))
    for count in range(1, 6):
        await asyncio.sleep(0)
        with_container(runtime, replace(RUNNING, started_at=count, restart_count=count))
        runtime.emit("start", runtime.containers[RUNNING.id])
        assert not waiting.done()
    assert await waiting == "running"
    await watch.close()


async def test_an_event_ends_the_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackr.executor.conditions._POLL_S", 1000)
    runtime = FakeRuntime()
    with_container(runtime, replace(RUNNING, health="starting"))
    watch = Watch(runtime, "demo")
    seen: list[str] = []
    waiting = asyncio.create_task(wait_for(runtime, wait("service_healthy"), watch, seen.append))
    while not seen:
        await asyncio.sleep(0)
    state = replace(runtime.containers["1"], health="healthy")
    runtime.containers["1"] = state
    runtime.emit("health_status: healthy", state)
    assert await waiting == "healthy"
    assert seen == ["starting"]
    await watch.close()


async def test_a_wait_that_is_over_before_it_has_looked_tells_what_is_there() -> None:
    runtime = FakeRuntime()
    with_container(runtime, replace(RUNNING, health="starting"))
    watch = Watch(runtime, "demo")
    with pytest.raises(DeadlineExceeded, match="is not healthy after 0 s: it is starting"):
        await wait_for(runtime, wait("service_healthy", timeout_s=0), watch, lambda seen: None)
    await watch.close()


async def test_removed_container_ends_the_wait() -> None:
    runtime = FakeRuntime()
    watch = Watch(runtime, "demo")
    with pytest.raises(Conflict, match="container demo-db-1 has been removed"):
        await wait_for(runtime, wait("service_healthy"), watch, lambda seen: None)
    await watch.close()


class _NoEvents(FakeRuntime):
    """An engine whose event stream fails: waits go on by polling."""

    async def events(
        self,
        *,
        labels: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> AsyncIterator[EngineEvent]:
        raise Unavailable("no events here")
        yield  # an async generator


async def test_without_events_it_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackr.executor.conditions._POLL_WITHOUT_EVENTS_S", 0.001)
    runtime: Any = _NoEvents()
    with_container(runtime, replace(RUNNING, health="starting"))
    watch = Watch(runtime, "demo")
    seen: list[str] = []
    waiting = asyncio.create_task(wait_for(runtime, wait("service_healthy"), watch, seen.append))
    while not seen:
        await asyncio.sleep(0)
    runtime.containers["1"] = replace(runtime.containers["1"], health="healthy")
    assert await waiting == "healthy"
    await watch.close()
