"""Where a warm server sits: whose the socket is, and that nothing of it stays."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from stackr.warm import seat


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "0123.sock")


def _taken(path: str) -> int:
    lock = seat.take(path)
    assert lock is not None
    return lock


def test_a_server_that_ends_leaves_nothing(path: str, tmp_path: Path) -> None:
    lock = _taken(path)
    Path(path).touch()
    seat.leave(path, lock)
    assert list(tmp_path.iterdir()) == []


def test_only_one_serves(path: str) -> None:
    lock = _taken(path)
    assert seat.take(path) is None
    seat.leave(path, lock)
    seat.leave(path, _taken(path))


def test_a_lock_whose_file_was_removed_locks_nothing(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server ends between another one's opening the file and its locking it."""
    first = _taken(path)
    lock_file, leaving = fcntl.flock, [first]

    def flock(fd: int, operation: int) -> None:
        while leaving:
            seat.leave(path, leaving.pop())
        lock_file(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    second = _taken(path)
    assert os.path.samestat(os.fstat(second), os.stat(f"{path}.lock"))
    assert seat.take(path) is None
    seat.leave(path, second)


def test_what_killed_servers_have_left_is_swept(path: str, tmp_path: Path) -> None:
    ended = (tmp_path / "4567.sock", tmp_path / "4567.sock.lock", tmp_path / "89ab.sock.lock")
    gone = tmp_path / f"rehearsal-{1 << 30}"
    for each in (*ended, gone):
        each.touch()
    here = tmp_path / f"rehearsal-{os.getpid()}"
    here.touch()
    Path(path).touch()
    lock = _taken(path)
    seat.sweep(str(tmp_path))
    assert set(tmp_path.iterdir()) == {Path(path), Path(f"{path}.lock"), here}
    seat.leave(path, lock)
