"""One daemon per data root: a lock file that the daemon holds while it lives; it names its pid.

Where somebody has removed the file, the daemon is known by the records' database, which it has
locked as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from contextlib import suppress
from pathlib import Path

from stackr.errors import Unavailable
from stackr.runtime.engine.disk import is_read_only
from stackr.runtime.engine.roots import make_way

__all__ = ["DataRootLock", "holder"]

_NAME = "engine.lock"
_DATABASE = "state.db"
_PROGRAM = b"stackr.runtime.engine.daemon"
_RETRY_S = 0.05
_NO_FILE = (errno.ENOENT, errno.EISDIR, errno.ELOOP)
_FLOCK = struct.Struct("hhqqi4x")


class DataRootLock:
    """The kernel drops the lock with the process, however that ends."""

    def __init__(self, fd: int, data_root: Path) -> None:
        self._fd = fd
        self._data_root = data_root

    @classmethod
    def acquire(cls, data_root: Path, *, timeout_s: float) -> DataRootLock:
        """Wait for a daemon that is ending. Raises Unavailable, which names the holder's pid."""
        with suppress(OSError):  # what is no file is nobody's lock
            make_way(data_root / _NAME)
        fd = _open(data_root, os.O_CREAT)
        deadline = time.monotonic() + timeout_s
        while (pid := _holder(fd, data_root, fcntl.LOCK_EX)) is not None:
            if time.monotonic() > deadline:
                os.close(fd)
                raise Unavailable(f'engine: data root "{data_root}" is in use by process {pid}')
            time.sleep(_RETRY_S)
        _sign(fd)
        return cls(fd, data_root)

    def renew(self) -> None:
        """Make the file again where it is gone. Raises OSError."""
        make_way(self._data_root / _NAME)
        fd = _open(self._data_root, os.O_CREAT)
        if os.path.sameopenfile(fd, self._fd) or not _try_lock(fd, fcntl.LOCK_EX):
            os.close(fd)
            return
        _sign(fd)
        os.close(self._fd)
        self._fd = fd

    def release(self) -> None:
        os.close(self._fd)


def holder(data_root: Path) -> int | None:
    """The pid of the daemon that runs on this data root, None where none does.

    Any number of processes may ask at a time: none of them is taken for a daemon. Not for the
    daemon itself: a file that is closed takes the process's locks of it along.
    """
    try:
        fd = _open(data_root)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return _database_holder(data_root)
    try:
        return _holder(fd, data_root, fcntl.LOCK_SH) or None
    finally:
        os.close(fd)


def _holder(fd: int, data_root: Path, kind: int) -> int | None:
    """None where there is none, and the lock is had now; 0 for one that is not known yet."""
    if _try_lock(fd, kind):
        return _database_holder(data_root)
    return _pid(fd, data_root) or 0


def _database_holder(data_root: Path) -> int | None:
    """The daemon that has the records open; another program that reads them is none.

    Source: fcntl(2), `F_GETLK`; struct flock: type, whence, start, length, pid.
    """
    try:
        fd = os.open(data_root / _DATABASE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return None
    try:
        query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, query))
    finally:
        os.close(fd)
    if kind == fcntl.F_UNLCK or pid <= 0:
        return None
    with suppress(OSError):
        if _PROGRAM in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    return None


def _open(data_root: Path, flags: int = 0) -> int:
    """On a read-only disk, a lock can still be had."""
    path = data_root / _NAME
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _pid(fd: int, data_root: Path) -> int | None:
    """Of the lock's holder: what it has written, or the kernel's word where that may be old.

    Source: proc(5), /proc/locks: number, kind, "ADVISORY", mode, pid, device and inode.
    """
    if not is_read_only(data_root):
        text = os.pread(fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    file = os.fstat(fd)
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[3] == "WRITE" and words[5] == place:
            return int(words[4]) if int(words[4]) > 0 else None
    return None


def _sign(fd: int) -> None:
    with suppress(OSError):  # a read-only disk
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
