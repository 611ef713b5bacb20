"""The room that the engine's records have on a full disk."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from stackr.errors import Internal
from stackr.runtime.engine.reserve import RESERVED_BYTES
from stackr.runtime.engine.state import State


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os, "statvfs", lambda path: SimpleNamespace(f_bfree=1, f_frsize=4096, f_flag=0)
    )


def rooms(folder: Path) -> dict[str, int]:
    """The files that hold the room, with what the disk has given them."""
    found = {name: folder / name for name in ("state.db-wal", "reserve")}
    return {name: p.stat().st_blocks * 512 for name, p in found.items() if p.exists()}


def test_the_log_has_the_room_while_the_database_is_open(tmp_path: Path) -> None:
    for _ in range(2):
        state = State.open(tmp_path / "state.db")
        assert list(held := rooms(tmp_path)) == ["state.db-wal"]
        assert held["state.db-wal"] >= RESERVED_BYTES
        for number in range(500):
            state.put("kind", str(number % 3), {"value": "x" * number})
        assert (tmp_path / "state.db-wal").stat().st_size == RESERVED_BYTES
        state.close()
        assert list(held := rooms(tmp_path)) == ["reserve"]
        assert held["reserve"] >= RESERVED_BYTES


def test_a_log_with_room_is_read_back_after_a_crash(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        State.open(tmp_path / "state.db").put("kind", "id", {"value": 1})
        os._exit(0)
    os.waitpid(pid, 0)
    state = State.open(tmp_path / "state.db")
    assert state.all("kind") == {"id": {"value": 1}}
    state.close()


def test_room_that_was_lost_is_taken_again(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.db")
    log = tmp_path / "state.db-wal"
    os.truncate(log, 0)
    state.check_room()
    assert log.stat().st_size == RESERVED_BYTES
    state.close()


@pytest.mark.usefixtures("full_disk")
def test_nothing_new_on_a_full_disk(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.db")
    with pytest.raises(Internal) as told:
        state.check_room()
    assert str(told.value) == (
        f"{tmp_path}: No space left on device: nothing new is made until 256 KiB are free there"
    )
    state.put("kind", "id", {})
    state.close()
