"""A disk that turns read-only: what runs is listed and stopped, and nothing is made or removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from container_engine import Engine, refused

from stackr.errors import Internal
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.lock import DataRootLock, holder

pytestmark = pytest.mark.root

_READ_ONLY = "Read-only file system"


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,bind,{how}", folder], check=True)


async def test_on_a_read_only_disk(root: Path) -> None:
    data = root / "data"
    with _disk(data):
        engine = await Engine.open(root)
        await engine.volumes.create("kept")
        for name in ("stopped", "killed", "lasting"):
            await engine.containers.start(await engine.create(name, ["sleep", "100"]))
        DataRootLock.acquire(data, timeout_s=0).release()
        await engine.close()
        _remount(data, "ro")

        lock = DataRootLock.acquire(data, timeout_s=0)
        assert holder(data) == os.getpid()
        engine = await Engine.open(root)
        assert {c.state.status for c in engine.containers.list()} == {Status.RUNNING}
        await engine.containers.stop("stopped", timeout_s=0)
        await engine.containers.kill("killed")
        assert await engine.execute("lasting", ["true"]) == (0, "")
        states = {c.name: c.state.status for c in engine.containers.list()}
        ended, runs = Status.EXITED, Status.RUNNING
        assert states == {"stopped": ended, "killed": ended, "lasting": runs}
        for work in (
            engine.create("new", ["true"]),
            engine.volumes.create("new"),
            engine.containers.remove("stopped"),
            engine.volumes.remove("kept"),
        ):
            error = await refused(work)
            assert isinstance(error, Internal)
            assert _READ_ONLY in error.message
        (warning,) = engine.state.warnings
        assert "changes stay in memory" in warning

        _remount(data, "rw")
        engine.state.flush()
        assert engine.state.warnings == []
        await engine.close()
        lock.release()
        engine = await Engine.open(root)
        assert {c.name: c.state.status for c in engine.containers.list()} == states
        await engine.clear()
        await engine.volumes.remove("kept")
        await engine.close()
        await engine.assert_nothing_left()
