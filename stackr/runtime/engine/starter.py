"""Who has started the daemon waits at a pipe for one message: that it is ready, or why it is not.

A daemon in the background has a parent that stays until then. It sees the daemon's end, whatever
ended it, and tells what the daemon itself can no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal

__all__ = ["Starter"]

_FIRST_FD = 3
_MOST_CHARACTERS = 4096  # of an error: the pipe takes it at once, JSON of 6 bytes each included
_TOLD = b"t"


class Starter:
    """fd: the pipe's end; None where nobody waits."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._parent: int | None = None
        if fd is not None:
            os.set_inheritable(fd, False)  # a program that is started would keep it open

    def detach(self, hint: str) -> None:
        """Become a session of our own, the child of nobody who would have to reap us.

        hint: for a start that fails without a word of its own.
        """
        most, kept = os.sysconf("SC_OPEN_MAX"), self._fd or 0
        os.closerange(_FIRST_FD, kept)
        os.closerange(max(_FIRST_FD, kept + 1), most)
        reader, writer = os.pipe()
        if pid := os.fork():
            os.close(writer)
            self._see_told(pid, reader, hint)
            os._exit(0)
        os.close(reader)
        self._parent = writer
        os.setsid()
        os.chdir("/")

    def ready(self) -> None:
        self._tell({"ready": True})

    def failed(self, error: str, hint: str | None = None) -> None:
        self._tell({"error": error[:_MOST_CHARACTERS], "hint": hint})

    def _tell(self, message: dict[str, object]) -> None:
        """Once, and let go of the pipes."""
        for fd, data in ((self._fd, json.dumps(message).encode()), (self._parent, _TOLD)):
            if fd is not None:
                with contextlib.suppress(BrokenPipeError):
                    os.write(fd, data)
                os.close(fd)
        self._fd = self._parent = None

    def _see_told(self, pid: int, reader: int, hint: str) -> None:
        """In the parent."""
        if os.read(reader, len(_TOLD)) != _TOLD:
            _, status = os.waitpid(pid, 0)
            self.failed(f"engine: it ended while it started: {_end(status)}", hint)


def _end(status: int) -> str:
    """In words, of a status of wait(2)."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"
