"""One daemon per data root: a lock file that the daemon holds while it lives; it names its pid."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from stackr.errors import Unavailable

__all__ = ["DataRootLock", "holder"]

_NAME = "engine.lock"
_RETRY_S = 0.05


class DataRootLock:
    """The kernel drops the lock with the process, however that ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def acquire(cls, data_root: Path, *, timeout_s: float) -> DataRootLock:
        """Wait for a daemon that is ending. Raises Unavailable, which names the holder's pid."""
        fd = os.open(data_root / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_s
        while not _try_lock(fd, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                pid = os.pread(fd, 32, 0).decode(errors="replace").strip()
                os.close(fd)
                raise Unavailable(f'engine: data root "{data_root}" is in use by process {pid}')
            time.sleep(_RETRY_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(fd)

    def release(self) -> None:
        os.close(self._fd)


def holder(data_root: Path) -> int | None:
    """The pid of the daemon that runs on this data root, None where none does.

    Any number of processes may ask at a time: none of them is taken for a daemon.
    """
    try:
        fd = os.open(data_root / _NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if _try_lock(fd, fcntl.LOCK_SH):
            return None
        text = os.pread(fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(fd)


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
