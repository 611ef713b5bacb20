"""The warm server: it has imported what commands need, and forks a worker for each.

It serves its own user alone, keeps no state, and ends by itself after ten idle minutes, at SIGTERM,
and once the code on the disk is another than its own. Workers outlive it.
"""

from __future__ import annotations

import contextlib
import fcntl
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
from pathlib import Path
from types import FrameType

from typer import Exit, TyperException

import stackr
from stackr.cli.group import load_command
from stackr.cli.main import run
from stackr.cli.registry import COMMANDS
from stackr.warm import place, worker
from stackr.warm.code_state import code_state
from stackr.warm.message import send

__all__ = ["IDLE_S", "main"]

IDLE_S = 600.0
_BACKLOG = 128
_NOT_FOR_COMMANDS = (
    "stackr.runtime.engine.",
    "stackr.warm.",
    "stackr.__main__",
    "stackr.cli.digests",  # with its HTTP client it takes 10 MB, and few ask for digests
)
_REHEARSAL = Path(__file__).with_name("rehearsal.yaml")


def main() -> None:
    """Serve until there is nothing to do; in a worker, run its command."""
    found = place.ready_folder()
    if found is None:
        return
    path = place.socket_path()
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # another one serves
    state = code_state()
    import_commands()
    _rehearse()
    gc.collect()
    gc.freeze()
    task = _Server(path, lock, state).serve()
    if task is not None:
        worker.run(*task)


def import_commands() -> None:
    """Import whatever a command may need; the engine, a process of its own, is left out."""
    for module in pkgutil.walk_packages(stackr.__path__, "stackr."):
        if not module.name.startswith(_NOT_FOR_COMMANDS):
            importlib.import_module(module.name)


def _rehearse() -> None:
    """Have made what libraries make at first use: the commands' parsers, validators, tables."""
    for name in COMMANDS:
        with contextlib.suppress(TyperException, Exit):
            load_command(name).make_context(name, [], parent=None)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        run(["-f", str(_REHEARSAL), "config"])


class _Server:
    def __init__(self, path: str, lock: int, state: int) -> None:
        self._path = path
        self._lock = lock
        self._state = state
        self._workers: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._is_over = False

    def serve(self) -> worker.Task | None:
        """None once the server has ended; in a worker, what it is to do."""
        listener = self._listen()
        try:
            for connection in self._callers(listener):
                task = self._fork(connection, listener)
                if task is not None:
                    return task
        finally:
            listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)
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

    def _callers(self, listener: socket.socket) -> Iterator[socket.socket]:
        """Connections of our user, until it is over."""
        while not self._is_over:
            ready = self._selector.select(None if self._workers else IDLE_S)
            if not ready and not self._workers:
                return
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(4096)
            self._reap()
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                if _uid_of(connection) == os.geteuid():
                    yield connection
                else:
                    connection.close()

    def _fork(self, connection: socket.socket, listener: socket.socket) -> worker.Task | None:
        verdict, telling = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(verdict)
            os.close(telling)
            connection.close()  # the caller runs its command itself
            return None
        if pid:
            self._workers[pid] = connection
            os.close(verdict)
            self._judge(telling)
            return None
        os.close(telling)
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._lock)
        for each in (listener, self._wake, self._woken, *self._workers.values()):
            each.close()
        return connection, verdict

    def _judge(self, telling: int) -> None:
        """Tell a worker, which begins meanwhile, whether our code is still the installed one."""
        is_fresh = code_state() == self._state
        with contextlib.suppress(OSError):
            os.write(telling, worker.FRESH if is_fresh else b"0")
        os.close(telling)
        self._is_over |= not is_fresh

    def _reap(self) -> None:
        """Tell the callers of workers that have ended how they did."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
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
