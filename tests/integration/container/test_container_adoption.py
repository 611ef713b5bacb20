from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import container_engine
import pytest
from container_engine import Engine, until

from stackr.runtime.engine.container.record import Container
from stackr.runtime.engine.container.state import Status
from stackr.runtime.engine.linux.process import start_ticks

pytestmark = pytest.mark.root


async def test_containers_outlive_the_engine_and_are_taken_over(root: Path) -> None:
    script = "while :; do echo tick; sleep 0.05; done"
    engine = await Engine.open(root)
    await engine.create("lasting", ["sh", "-c", script])
    script = "until [ -e /alone ]; do sleep 0.02; done; exit 9"
    await engine.create("ending", ["sh", "-c", script])
    for name in ("lasting", "ending"):
        await engine.containers.start(name)
    pid, ending = engine.containers.get("lasting").pid, engine.containers.get("ending").running
    assert ending is not None
    await engine.close()
    Path(f"/proc/{ending.pid}/root/alone").touch()
    await until(lambda: not start_ticks(ending.monitor_pid))

    engine = await Engine.open(root)
    try:
        assert engine.containers.get("lasting").pid == pid
        state = engine.containers.get("ending").state
        assert (state.status, state.exit_code) == (Status.EXITED, 9)
        async with asyncio.timeout(60):
            while len((await engine.output("lasting")).splitlines()) <= 5:
                await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.wait_for(engine.containers.wait("lasting"), 60) == 137
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


async def test_a_policy_brings_back_what_was_killed_meanwhile(root: Path) -> None:
    engine = await Engine.open(root)
    await engine.create("again", ["sleep", "100"], RestartPolicy={"Name": "always"})
    await engine.create("gone", ["sleep", "100"])
    for name in ("again", "gone"):
        await engine.containers.start(name)
    running = [engine.containers.get(name).running for name in ("again", "gone")]
    await engine.close()
    for one in running:
        assert one is not None
        os.kill(one.monitor_pid, signal.SIGKILL)  # as a reboot would: no exit code is left

    engine = await Engine.open(root)
    try:
        await until(lambda: engine.containers.get("again").state.status is Status.RUNNING)
        await until(lambda: engine.containers.get("gone").state.exit_code == 137)
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


@pytest.mark.parametrize("after_s", [0.01, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.7])
async def test_a_kill_at_any_point_is_finished_or_undone(root: Path, after_s: float) -> None:
    churn = Path(container_engine.__file__).with_name("container_churn.py")
    with subprocess.Popen([sys.executable, str(churn), str(root)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(after_s)
        child.kill()

    engine = await Engine.open(root)
    try:
        for container in engine.containers.list():
            await until(partial(_is_settled, container))
            if container.state.status is Status.RUNNING:
                assert await engine.execute(container.id, ["true"]) == (0, "")
            else:
                assert container.state.status in (Status.CREATED, Status.EXITED)
                await engine.containers.start(container.id)
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()
    assert engine.volumes.list() == []


def _is_settled(container: Container) -> bool:
    return not container.intent
