"""Containers that are restarted for want of health: how often, when not, and across daemons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from container_engine import Engine, refused, until

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.container_json import status_text
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.spec import (
    ExecCreate,
    parse_create,
    parse_update,
)
from stackr.runtime.engine.project_locks import Holder

pytestmark = pytest.mark.root

LABEL = "io.stackr.restart_unhealthy"
AT_ONCE = "max_attempts=2,delay=0s,window=1h"
CHECK = {"Test": ["FILE", "/ok"], "Interval": 20_000_000, "Retries": 2}
STUBBORN = ["sh", "-c", "trap '' TERM; until [ -e /go ]; do sleep 0.02; done; rm /go; exit 3"]


async def started(engine: Engine, label: str, *command: str, **settings: Any) -> Container:
    """A container that is soon unhealthy."""
    settings = {"Healthcheck": CHECK, "StopSignal": "SIGKILL", **settings}
    words = list(command) or ["sleep", "600"]
    id = await engine.create("web", words, Labels={LABEL: label}, **settings)
    await engine.containers.start(id)
    return engine.containers.get(id)


async def ending(engine: Engine, **settings: Any) -> Container:
    """One that has been asked to end, and does so once /go is there."""
    container = await started(
        engine, AT_ONCE, *STUBBORN, StopSignal="SIGTERM", StopTimeout=600, **settings
    )
    await until(lambda: container.unhealthy_restarts.ending)
    return container


def go(container: Container) -> None:
    Path(f"/proc/{container.pid}/root/go").touch()


def told(engine: Engine) -> list[str]:
    found = [event for event in engine.events.kept() if event.type == "container"]
    assert all(e.attributes["reason"] for e in found if "restart_unhealthy" in e.action)
    return [e.action for e in found if "unhealthy" in e.action or e.action in ("start", "die")]


async def test_it_is_restarted_as_often_as_may_be_and_then_left(engine: Engine) -> None:
    container = await started(engine, AT_ONCE)
    await until(lambda: container.unhealthy_restarts.given_up)
    once = ["start", "health_status: unhealthy"]
    assert told(engine) == [
        *(*once, "restart_unhealthy: 1 of 2", "die"),
        *(*once, "restart_unhealthy: 2 of 2", "die"),
        *(*once, "restart_unhealthy: given up"),
    ]
    assert container.restart_count == 2
    text = status_text(container, now_ns=0)
    assert text.endswith(", restarted 2 times, given up (unhealthy)")
    await engine.containers.restart("web", timeout_s=0)
    assert not container.unhealthy_restarts.given_up
    await until(lambda: container.unhealthy_restarts.given_up)
    assert container.unhealthy_restarts.total == 2


async def test_on_failure_counts_its_own(engine: Engine) -> None:
    """A restart for want of health is none of those that the policy allows."""
    policy = {"Name": "on-failure", "MaximumRetryCount": 1}
    label = "max_attempts=1,delay=0s"
    container = await started(engine, label, *STUBBORN, RestartPolicy=policy)
    await until(lambda: container.unhealthy_restarts.given_up)
    go(container)
    await until(lambda: container.restart_count == 2 and container.pid > 0)
    go(container)
    await until(lambda: container.state.status is Status.EXITED)
    assert container.state.exit_code == 3


async def test_a_stop_and_a_removal_win(engine: Engine) -> None:
    container = await ending(engine)
    await engine.containers.stop("web", timeout_s=0)
    assert container.state.status is Status.EXITED
    await engine.containers.start("web")
    await until(lambda: container.unhealthy_restarts.ending)
    await engine.containers.remove("web", force=True)
    assert engine.containers.list() == []


async def test_a_pause_holds_it_up_and_loses_nothing(engine: Engine) -> None:
    container = await ending(engine)
    await engine.containers.pause("web")
    go(container)
    await engine.containers.unpause("web")
    await until(lambda: container.restart_count == 1)


async def test_nothing_is_restarted_while_somebody_is_at_it(engine: Engine) -> None:
    labels = {LABEL: AT_ONCE, "com.docker.compose.project": "shop"}
    id = await engine.create(
        "web", ["sleep", "600"], Labels=labels, Healthcheck=CHECK, StopSignal="SIGKILL"
    )
    execs = engine.containers.execs
    with engine.locks.entry("shop", Holder(1, "somebody", "somewhere")):
        await engine.containers.start(id)
        container = engine.containers.get(id)
        await until(lambda: failures(container) > 4)
        session = await execs.create(id, ExecCreate(cmd=["sleep", "600"], attach_stdout=True))
        stream = await execs.start(session)
    seen = failures(container)
    await until(lambda: failures(container) > seen + 2)
    assert container.unhealthy_restarts.total == 0
    execs.drain(session, stream)  # its client has gone
    await until(lambda: container.restart_count == 1)


def failures(container: Container) -> int:
    return container.state.health.failing_streak if container.state.health else 0


async def test_a_new_label_counts_at_the_next_probe(engine: Engine) -> None:
    container = await started(engine, "false")
    await until(lambda: failures(container) > 4)
    assert container.unhealthy_restarts.total == 0
    body = parse_update({"Labels": {LABEL: AT_ONCE}})
    await engine.containers.update("web", body)
    await until(lambda: container.unhealthy_restarts.given_up)
    bad = engine.containers.update("web", parse_update({"Labels": {LABEL: "often"}}))
    assert isinstance(await refused(bad), InvalidArgument)


async def test_the_next_daemon_carries_on(root: Path) -> None:
    engine = await Engine.open(root)
    await ending(engine)
    await engine.close()
    engine = await Engine.open(root)
    try:
        container = engine.containers.get("web")
        counted = container.unhealthy_restarts
        assert (counted.attempts, counted.ending) == (1, True)
        go(container)
        await until(lambda: container.restart_count == 1)
        await until(lambda: container.state.status is Status.RUNNING)
        assert counted.attempts >= 1
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


async def test_what_ended_between_two_daemons_comes_up(root: Path) -> None:
    engine = await Engine.open(root)
    container = await ending(engine)
    running = container.running
    assert running is not None
    await engine.close()
    go(container)
    await until(lambda: not Path(f"/proc/{running.monitor_pid}").exists())
    engine = await Engine.open(root)
    try:
        container = engine.containers.get("web")
        await until(lambda: container.state.status is Status.RUNNING)
        assert container.restart_count == 1
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


async def test_where_it_has_no_effect_and_what_is_malformed(engine: Engine) -> None:
    create = engine.create("web", ["sleep", "600"], Labels={LABEL: "max_attempts=x"})
    assert LABEL in (await refused(create)).message
    body = {"Image": "busybox", "Labels": {LABEL: "true"}}
    _, warnings = await engine.containers.create("web", parse_create(body))
    assert warnings == [f"label {LABEL}: no effect: the container has no health check"]
