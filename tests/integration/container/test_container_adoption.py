from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import container_engine
import pytest
from container_engine import Engine, until

from stackr.errors import Conflict
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.spec import EndpointSettings
from stackr.runtime.engine.linux.process import start_ticks
from stackr.runtime.engine.network.types import EndpointSpec, NetworkSpec
from stackr.runtime.engine.state import State

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
    await engine.create("again", ["sleep", "600"], RestartPolicy={"Name": "always"})
    await engine.create("gone", ["sleep", "600"])
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


async def test_what_was_cut_off_is_done_before_the_first_call(root: Path) -> None:
    """Each record is as a daemon leaves it that is killed in the middle of the verb."""
    engine = await Engine.open(root)
    deaf = ["sh", "-c", "trap '' TERM; echo deaf; sleep 100"]
    commands = {"starting": ["sleep", "600"], "stopping": deaf, "leaving": ["true"]}
    ids = {
        name: await engine.create(name, command, HostConfig={"AutoRemove": name == "leaving"})
        for name, command in commands.items()
    }
    await engine.containers.start("stopping")
    await until(lambda: _log(engine, "stopping") != "")
    await engine.close()
    with _records(root) as change:
        change(ids["starting"], intent="start")
        change(ids["stopping"], intent="stop 1", manually_stopped=True)
        change(ids["leaving"], state={"status": "exited", "finished_ns": 1})

    engine = await Engine.open(root)
    try:
        states = {c.name: c.state.status for c in engine.containers.list()}
        assert states == {"starting": Status.RUNNING, "stopping": Status.EXITED}
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


async def test_a_pause_that_was_cut_off_is_seen(root: Path) -> None:
    engine = await Engine.open(root)
    ids = {name: await engine.create(name, ["sleep", "600"]) for name in ("still", "moving")}
    for name in ids:
        await engine.containers.start(name)
    await engine.containers.pause("still")
    await engine.close()
    with _records(root) as change:
        change(ids["still"], state={"status": "running"})
        change(ids["moving"], state={"status": "paused"})

    engine = await Engine.open(root)
    try:
        states = {c.name: c.state.status for c in engine.containers.list()}
        assert states == {"still": Status.PAUSED, "moving": Status.RUNNING}
        await engine.containers.unpause("still")
        assert await engine.execute("still", ["true"]) == (0, "")
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


async def test_networks_whose_change_was_cut_off(root: Path) -> None:
    """One is connected in the kernel alone, one disconnected there, and a name is old there."""
    engine = await Engine.open(root)
    for network in ("first", "second"):
        await engine.networks.create(NetworkSpec(name=network))
    id = await engine.create("moved", ["sleep", "600"], NetworkMode="first")
    await engine.containers.start(id)
    await engine.networks.connect(id, EndpointSpec("second"))
    await engine.networks.disconnect(id, "first")
    await engine.close()
    with _records(root) as change:
        change(id, name="renamed")

    engine = await Engine.open(root)
    try:
        sandbox = engine.networks.sandbox(id)
        assert sandbox is not None
        assert not sandbox.endpoints
        assert not engine.containers.get(id).endpoints
        for network in ("first", "second"):
            await engine.containers.connect(id, network, EndpointSettings())
        sandbox = engine.networks.sandbox(id)
        assert sandbox is not None
        assert {e.container_name for e in sandbox.endpoints.values()} == {"renamed"}
    finally:
        await engine.clear()
        for network in ("first", "second"):
            await engine.networks.remove(network)
        await engine.close()
    await engine.assert_nothing_left()


async def test_who_joins_another_comes_up_after_it(root: Path) -> None:
    engine = await Engine.open(root)
    policy = {"Name": "always"}
    await engine.create("donor", ["sleep", "600"], RestartPolicy=policy)
    modes = {"NetworkMode": "container:donor", "PidMode": "container:donor"}
    await engine.create("joiner", ["sleep", "600"], RestartPolicy=policy, **modes)
    for name in ("donor", "joiner"):
        await engine.containers.start(name)
    running = [engine.containers.get(name).running for name in ("donor", "joiner")]
    await engine.close()
    for one in running:
        assert one is not None
        os.kill(one.monitor_pid, signal.SIGKILL)  # as a reboot would

    engine = await Engine.open(root)
    try:
        states = {c.name: c.state.status for c in engine.containers.list()}
        assert states == {"donor": Status.RUNNING, "joiner": Status.RUNNING}
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


@contextmanager
def _records(root: Path) -> Iterator[Callable[..., None]]:
    """Change fields of a container's record, and of its state, while no engine runs."""
    state = State.open(root / "data" / "state.db")

    def change(id: str, **fields: Any) -> None:
        record = state.get("container", id)
        assert record is not None
        fields["state"] = {**record["state"], **fields.get("state", {})}
        state.put("container", id, {**record, **fields})

    try:
        yield change
    finally:
        state.close()


def _log(engine: Engine, name: str) -> str:
    path = engine.containers.log_path(name)
    return path.read_text() if path and path.exists() else ""


def _is_settled(container: Container) -> bool:
    return not container.intent


@pytest.mark.parametrize("at_a_start", [False, True])
async def test_what_somebody_has_removed_of_a_running_container(
    root: Path, at_a_start: bool
) -> None:
    """Its bundle is made again; what needs the OCI runtime's own state says that it is gone."""
    engine = await Engine.open(root)
    try:
        script = "trap 'exit 7' TERM; while :; do sleep 0.05; done"
        id = await engine.create("web", ["sh", "-c", script])
        await engine.containers.start("web")
        if at_a_start:
            await engine.close()
        shutil.rmtree(engine.config.bundles_root)
        if at_a_start:
            engine = await Engine.open(root)
        assert await engine.execute("web", ["echo", "hi"]) == (0, "hi\n")
        roots = (engine.config.exec_root / name for name in ("crun", "runc"))
        (known,) = (path for each in roots if (path := each / id).exists())
        shutil.rmtree(known)
        for verb in (engine.execute("web", ["true"]), engine.containers.pause("web")):
            with pytest.raises(Conflict, match=f"{known} was removed.* need its restart"):
                await verb
        await engine.containers.stop("web")
        assert engine.containers.get("web").state.exit_code == 7
        await engine.containers.start("web")
        assert await engine.execute("web", ["echo", "hi"]) == (0, "hi\n")
        await engine.containers.pause("web")
        shutil.rmtree(known)
        await engine.containers.stop("web")  # it is let go on, and told
        assert engine.containers.get("web").state.exit_code == 7
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()
