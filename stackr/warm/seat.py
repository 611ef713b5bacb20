"""Where a warm server sits: a socket, and the lock that says whose it is. Both go with the server.

Whoever holds the lock of a path owns the socket there. A lock file is removed while it is held, so
that one that was opened meanwhile locks nothing: who has locked a file looks whether it is still
the one of that name, and begins anew where it is not.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os

__all__ = ["leave", "sweep", "take"]

_LOCK = ".lock"
_REHEARSAL = "rehearsal-"


def take(path: str) -> int | None:
    """Sit down at `path`: the lock, which `leave` gives up; None where somebody sits there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    while True:
        lock = os.open(f"{path}{_LOCK}", flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return None
        if _is_at(lock, f"{path}{_LOCK}"):
            return lock
        os.close(lock)  # of one that left just now


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def leave(path: str, lock: int) -> None:
    """Remove the socket, then its lock, and let somebody else sit down."""
    for each in (path, f"{path}{_LOCK}"):
        with contextlib.suppress(OSError):
            os.unlink(each)
    os.close(lock)


def sweep(folder: str) -> None:
    """Remove what servers that were killed have left, and rehearsals of theirs."""
    for file in glob.glob(f"{glob.escape(folder)}/*.sock{_LOCK}"):
        path = file.removesuffix(_LOCK)
        lock = take(path)
        if lock is not None:
            leave(path, lock)
    for file in glob.glob(f"{glob.escape(folder)}/{_REHEARSAL}*"):
        pid = file.rpartition("-")[2]
        if pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(OSError):
                os.unlink(file)
