"""What the kernel has no more of, told by its name: descriptors, processes, threads."""

from __future__ import annotations

import errno
from typing import Final

from stackr.errors import Unavailable
from stackr.runtime.engine.linux.descriptors import too_many_open_files

__all__ = ["EXHAUSTED", "exhausted"]

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What a call fails with that may succeed later. Source: accept(2), pidfd_open(2)."""

_NO_THREAD: Final = "can't start new thread"


def exhausted(error: BaseException) -> Unavailable | None:
    """The error to tell, where `error` comes of such a limit; None for any other."""
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EMFILE:
        return too_many_open_files()
    if code == errno.ENFILE:
        return Unavailable(
            "engine: too many open files on this host", hint="raise the kernel's fs.file-max"
        )
    if code == errno.EAGAIN or (isinstance(error, RuntimeError) and str(error) == _NO_THREAD):
        return Unavailable(
            "engine: no more processes or threads can be started",
            hint="raise its limit of processes (ulimit -u, TasksMax, the group's pids.max)",
        )
    return None
