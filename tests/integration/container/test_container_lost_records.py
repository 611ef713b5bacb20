"""Records that are lost or damaged end no container and delete nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from container_engine import Engine, until

from stackr.runtime.engine.container.records.lost import monitors
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.journal import document_lines
from stackr.runtime.engine.network.types import NetworkSpec
from stackr.runtime.engine.records import VERSION_FIELD
from stackr.runtime.engine.state import State

pytestmark = pytest.mark.root


def _lose_all(root: Path) -> None:
    for file in (root / "data").glob("state.*"):
        file.unlink()


def _lose_names_of_bodies(root: Path) -> None:
    """Of the container alone, in both places: it can be read, and is no record."""
    state = State.open(root / "data" / "state.db")
    (id,) = state.all("container")
    state.put("container", id, {"id": id})
    state.close()


def _lose_the_start(root: Path) -> None:
    """The newest changes are missing: the record is one of before the start."""
    state = State.open(root / "data" / "state.db")
    for id, record in state.all("container").items():
        stopped = {**record["state"], "status": "created", "started_ns": 0}
        state.put("container", id, {**record, "state": stopped, "running": None})
        state.delete("sandbox", id)
    state.close()


@pytest.mark.parametrize("lose", [_lose_all, _lose_names_of_bodies, _lose_the_start])
async def test_a_running_container_is_known_by_its_bundle(
    root: Path, lose: Callable[[Path], None]
) -> None:
    engine = await Engine.open(root)
    await engine.networks.create(NetworkSpec(name="lost"))
    await engine.volumes.create("kept", labels={"of": "test"})
    mounts = [{"Type": "volume", "Source": "kept", "Target": "/data"}]
    id = await engine.create("found", ["sleep", "100"], NetworkMode="lost", Mounts=mounts)
    await engine.containers.start(id)
    assert await engine.execute(id, ["touch", "/data/file", "/own"]) == (0, "")
    before = engine.containers.get(id)
    sandbox = engine.networks.sandbox(id)
    await engine.close()
    lose(root)

    engine = await Engine.open(root)
    try:
        after = engine.containers.get("found")
        assert (after.pid, after.state.status) == (before.pid, Status.RUNNING)
        assert after.mounts == before.mounts
        assert engine.networks.sandbox(id) == sandbox
        assert engine.volumes.get("kept").labels == {"of": "test"}
        assert await engine.execute(id, ["ls", "/data/file", "/own"]) == (0, "/data/file\n/own\n")
        assert any(f"container {id[:12]}: its record" in note for note in engine.state.notes)
    finally:
        await engine.clear()
        await engine.volumes.remove("kept")
        await engine.networks.remove("lost")
        await engine.close()
    await engine.assert_nothing_left()


async def test_a_copy_that_cannot_be_read_is_not_needed(root: Path) -> None:
    """A newer engine has written the bundle's copy, and the record has not seen the start."""
    engine = await Engine.open(root)
    id = await engine.create("found", ["sleep", "100"])
    await engine.containers.start(id)
    pid = engine.containers.get(id).pid
    await engine.close()
    _lose_the_start(root)
    copy = json.dumps({VERSION_FIELD: 99, "id": id})
    file = engine.config.bundles_root / id / "records"
    file.write_bytes(document_lines({("container", id): copy}))

    engine = await Engine.open(root)
    try:
        assert engine.containers.get(id).pid == pid
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


async def test_what_the_monitor_says_is_enough(root: Path) -> None:
    """Without the copy in the bundle, and with a record of before the start."""
    engine = await Engine.open(root)
    id = await engine.create("found", ["sleep", "100"])
    await engine.containers.start(id)
    pid = engine.containers.get(id).pid
    await engine.close()
    _lose_the_start(root)
    (engine.config.bundles_root / id / "records").unlink()

    engine = await Engine.open(root)
    try:
        container = engine.containers.get(id)
        assert (container.pid, container.state.status) == (pid, Status.RUNNING)
        assert await engine.execute(id, ["true"]) == (0, "")
    finally:
        await engine.clear()
        await engine.close()
    await engine.assert_nothing_left()


async def test_a_container_that_nobody_knows_runs_on(root: Path) -> None:
    engine = await Engine.open(root)
    await engine.volumes.create("kept")
    mounts = [{"Type": "volume", "Source": "kept", "Target": "/data"}]
    id = await engine.create("unknown", ["sleep", "100"], Mounts=mounts)
    await engine.containers.start(id)
    assert await engine.execute(id, ["touch", "/data/file", "/own"]) == (0, "")
    running = engine.containers.get(id).running
    assert running is not None
    await engine.close()
    _lose_all(root)
    (engine.config.bundles_root / id / "records").unlink()

    for _ in range(2):
        engine = await Engine.open(root)
        assert engine.containers.list() == []
        assert [v.name for v in engine.volumes.list()] == ["kept"]
        told = f"container {id[:12]}: runs on without a record: process "
        assert any(note.startswith(told) for note in engine.state.warnings)
        await engine.close()
        assert (id, running.monitor_pid) in list(monitors(engine.config))
        assert Path(f"/proc/{running.pid}/root/own").exists()
        assert Path(f"/proc/{running.pid}/root/data/file").exists()
    os.kill(running.pid, signal.SIGKILL)
    await until(lambda: not list(monitors(engine.config)))
    engine = await Engine.open(root)  # what is left of it can be cleared now, but its files
    assert (root / "data" / "snapshots" / "c" / id / "upper" / "own").exists()
    await engine.volumes.remove("kept")
    await engine.close()
    shutil.rmtree(engine.config.containers_root / id)
    await engine.assert_nothing_left()


async def test_a_container_starts_without_the_files_that_somebody_deleted(engine: Engine) -> None:
    id = await engine.create("bare", ["echo", "up"])
    shutil.rmtree(engine.config.containers_root / id)
    shutil.rmtree(engine.config.snapshots_root / "c" / id)
    await engine.containers.start(id)
    assert await engine.containers.wait(id) == 0
    assert await engine.output(id) == "up\n"
    assert any("what it wrote is gone" in note for note in engine.state.notes)


async def test_a_damaged_record_costs_that_record_alone(root: Path) -> None:
    engine = await Engine.open(root)
    ids = [await engine.create(name, ["true"]) for name in ("first", "second")]
    await engine.volumes.create("kept", labels={"of": "test"})
    await engine.close()
    (root / "data" / "state.journal").unlink()
    connection = sqlite3.connect(root / "data" / "state.db")
    with connection:
        for id in (ids[0], "kept"):
            connection.execute("UPDATE document SET body = substr(body, 9) WHERE id = ?", (id,))
    connection.close()
    engine = await Engine.open(root)
    try:
        assert [c.name for c in engine.containers.list()] == ["second"]
        assert engine.volumes.get("kept").labels == {"of": "test"}
        assert any(ids[0] in note for note in engine.state.notes)
        await engine.containers.start("second")
    finally:
        await engine.clear()
        await engine.volumes.remove("kept")
        await engine.close()
    shutil.rmtree(engine.config.containers_root / ids[0])
    await engine.assert_nothing_left()
