"""The warm server: it has imported what commands need, and forks a worker for each.

It serves its own user alone, keeps no state, and ends by itself after ten idle minutes, at SIGTERM,
and once the code on the disk is another than its own. Workers outlive it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from itertools import chain
from types import FrameType
from typing import NamedTuple

import stackr
from stackr.warm import place, seat, worker
from stackr.warm.code_state import CodeState
from stackr.warm.message import send
from stackr.warm.rehearsal import make_parsers, rehearse

__all__ = ["IDLE_S", "main"]

IDLE_S = 600.0
_SPARE_AFTER_S = 0.1
"""How long a command that has just begun has the processors to itself."""
_BACKLOG = 128
_NOT_FOR_COMMANDS = (
    "stackr.runtime.engine.",
    "stackr.warm.",
    "stackr.__main__",
    "stackr.pytest_plugin",  # for pytest, which need not be there
    "stackr.ui.",  # by Textual, which is an extra
    "stackr.stack.digests",  # with the HTTP client of `registry` it takes 10 MB; few ask for it
    "stackr.registry.",
)


def main() -> None:
    """Serve until there is nothing to do; in a worker, run its command."""
    found = place.ready_folder()
    if found is None:
        return
    path = place.socket_path()
    lock = seat.take(path)
    if lock is None:
        return  # another one serves
    seat.sweep(found)
    code = CodeState()
    import_commands()
    make_parsers()
    rehearse(found)
    code.keep({getattr(module, "__file__", None) or "" for module in sys.modules.values()})
    gc.collect()
    gc.freeze()
    task = _Server(path, lock, code).serve()
    if task is not None:
        rehearse(
            found, again=True
        )  # what commands change of the server's memory is copied now, not then
        worker.run(task)


def import_commands() -> None:
    """Import whatever a command may need; the engine, a process of its own, is left out."""
    for module in pkgutil.walk_packages(stackr.__path__, "stackr."):
        if not module.name.startswith(_NOT_FOR_COMMANDS):
            importlib.import_module(module.name)


class _Spare(NamedTuple):
    """A worker that has no caller yet, and the socket on which it is told of one."""

    pid: int
    control: socket.socket


class _Server:
    """What a caller waits for is done before it comes: one worker, the spare, is always ready."""

    def __init__(self, path: str, lock: int, code: CodeState) -> None:
        self._path = path
        self._lock = lock
        self._code = code
        self._workers: dict[int, socket.socket] = {}
        self._spare: _Spare | None = None
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._is_over = False

    def serve(self) -> socket.socket | None:
        """None once the server has ended; in a worker, where it is told what to do."""
        listener = self._listen()
        try:
            for connection in chain((None,), self._callers(listener)):
                if connection is not None:
                    task = self._hand_over(connection, listener)
                else:
                    task = self._ready_spare(listener)
                if task is not None:
                    return task
        finally:
            listener.close()
        if self._spare is not None:
            self._spare.control.close()
        seat.leave(self._path, self._lock)
        return None

    def _listen(self) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # of a server that was killed: the lock is ours
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self._path)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        for end in (self._wake, self._woken):
            end.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _noted)
        signal.signal(signal.SIGTERM, self._terminated)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        return listener

    def _callers(self, listener: socket.socket) -> Iterator[socket.socket | None]:
        """Connections of our user, until it is over; None where nothing is asked for."""
        while not self._is_over:
            is_complete = self._spare is not None
            patience = IDLE_S if is_complete else _SPARE_AFTER_S
            ready = self._selector.select(None if is_complete and self._workers else patience)
            if not ready and is_complete:
                return
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(4096)
            self._reap()
            try:
                connection, _ = listener.accept()
            except OSError:
                yield None
                continue
            if _uid_of(connection) == os.geteuid():
                yield connection
            else:
                connection.close()

    def _hand_over(
        self, connection: socket.socket, listener: socket.socket
    ) -> socket.socket | None:
        """Give a caller to the spare, or to a new worker; in that, where it is told what to do."""
        task = self._ready_spare(listener)
        spare = self._spare
        if task is not None or spare is None:
            connection.close()  # where there is no worker, the caller runs its command itself
            return task
        self._spare = None
        with spare.control:
            try:
                socket.send_fds(spare.control, [worker.CALLER], [connection.fileno()])
            except OSError:  # somebody has killed it
                connection.close()
                return None
            self._workers[spare.pid] = connection
            is_fresh = self._code.is_current()  # the worker begins meanwhile
            self._is_over |= not is_fresh
            with contextlib.suppress(OSError):
                spare.control.send(worker.FRESH if is_fresh else worker.STALE)
        return None

    def _ready_spare(self, listener: socket.socket) -> socket.socket | None:
        """Fork a worker where no spare one is left; in it, where it is told what to do."""
        if self._spare is not None:
            return None
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return None
        if pid:
            theirs.close()
            self._spare = _Spare(pid, ours)
            return None
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._lock)
        for each in (ours, listener, self._wake, self._woken, *self._workers.values()):
            each.close()
        return theirs

    def _reap(self) -> None:
        """Tell the callers of workers that have ended how they did."""
        while self._workers or self._spare:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if self._spare is not None and pid == self._spare.pid:
                self._spare.control.close()
                self._spare = None
                continue
            connection = self._workers.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            with contextlib.suppress(OSError):
                send(connection, ("exit", code) if code >= 0 else ("signal", -code))
            connection.close()

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        self._is_over = True


def _noted(number: int, frame: FrameType | None) -> None:
    """A handler, so that the signal wakes the server."""


def _uid_of(connection: socket.socket) -> int:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", data)[1])


if __name__ == "__main__":
    sys.modules["stackr.warm.server"] = sys.modules["__main__"]
    main()
