"""The launcher process itself: what becomes of the processes that it has started."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from container_engine import Engine, until

from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.linux.launcher_client import Launcher

pytestmark = pytest.mark.root


@pytest.fixture
async def launcher() -> AsyncIterator[Launcher]:
    launcher = Launcher()
    launcher.open()
    yield launcher
    await launcher.close()


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat[stat.rindex(")") + 2 :].split()[1])


async def test_orphans_are_reaped(launcher: Launcher) -> None:
    orphan = int(
        (await launcher.run(["/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"])).output
    )
    # The shell moves descriptors until `exec`, and the dynamic linker opens libraries after it.
    await until(lambda: Path(f"/proc/{orphan}/cmdline").read_bytes().startswith(b"sleep"))
    await until(lambda: sorted(os.listdir(f"/proc/{orphan}/fd")) == ["0", "1", "2"])
    assert _parent(orphan) == launcher.pid
    os.kill(orphan, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{orphan}").exists())


async def test_failed_probes_do_not_hold_up_the_end(engine: Engine) -> None:
    check = {"Test": ["CMD", "nosuch"], "Interval": 10**7, "Retries": 1}
    id = await engine.create("probed", ["sleep", "100"], Healthcheck=check)
    await engine.containers.start(id)
    state = engine.containers.get(id).state
    await until(lambda: state.health is not None and len(state.health.log) > 3)
    pid = engine.containers.get(id).pid
    namespace = os.readlink(f"/proc/{pid}/ns/pid")
    await engine.containers.stop(id, timeout_s=0)
    assert engine.containers.get(id).state.status is Status.EXITED
    assert _members(namespace) == []


def _members(namespace: str) -> list[str]:
    """Processes of a pid namespace; a zombie has left it, but is still a child of somebody."""
    found = []
    for path in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            if os.readlink(path) == namespace:
                found.append(path.parts[2])
        except OSError:
            continue
    return found
