"""A sidecar: a small process of an engine's that goes on while no daemon runs. Its own side.

It is started by a daemon, which gives it a listening socket and a first connection, and takes the
next daemon's connection when that one has gone. What daemons say is done in order; who has served
something may `catch_up` first, so that what an API call did is seen once that call has returned.
It imports little, as its memory stays resident for as long as any container runs.

SOCK_SEQPACKET, one JSON object a message, descriptors beside it:
  <- {"protocol": 1, "pid": 4711, "serves": [...], "more": false}
                    the greeting: what it has of earlier daemons, in as many messages as it takes
  -> {...}          what the program knows, in its `wire.py`
  <- {...}          its answer, to those that have one
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence

from stackr.runtime.engine.linux.loop import IN, OUT, Loop

TYPE_CHECKING = False  # typing's own costs 1 MB
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MAX_FDS", "MAX_MESSAGE", "Sidecar", "inherited", "run_at"]

MAX_MESSAGE = 256 * 1024
MAX_FDS = 250  # the kernel takes 253
_GREETED = 100  # items of a greeting's message, of 2 KiB at most
_BACKLOG = 8

Answer = tuple[dict[str, object], Sequence[int]]


class Sidecar:
    """The daemons that are connected.

    serves: what there is to tell a new one. do: does what a message asks for, and returns an answer
    or None; the descriptors of either are the receiver's. Raises ValueError, KeyError, TypeError or
    OSError for what it does not understand: that daemon is then left.
    """

    def __init__(
        self,
        name: str,
        protocol: int,
        loop: Loop,
        *,
        serves: Callable[[], list[Any]],
        do: Callable[[dict[str, Any], list[int]], Answer | None],
    ) -> None:
        self._name = name
        self._protocol = protocol
        self._loop = loop
        self._serves = serves
        self._do = do
        self._daemons: dict[_Daemon, None] = {}

    @property
    def is_connected(self) -> bool:
        return bool(self._daemons)

    def open(self, listener: socket.socket, first: socket.socket) -> None:
        """first: the connection of the daemon that started this process."""
        listener.setblocking(False)
        listener.listen(_BACKLOG)  # again: from now on it is this process that listens
        self._loop.watch(listener.fileno(), lambda: self._accept(listener))
        self._welcome(first)

    def catch_up(self) -> None:
        """Do all that daemons have asked for so far."""
        for daemon in list(self._daemons):
            self._receive(daemon)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        self.catch_up()  # what an earlier daemon said comes before the greeting
        self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        daemon = _Daemon(self._loop, connection, self._receive)
        self._daemons[daemon] = None
        items = self._serves()
        greeting = {"protocol": self._protocol, "pid": os.getpid()}
        for start in range(0, max(len(items), 1), _GREETED):
            more = start + _GREETED < len(items)
            daemon.send(greeting | {"serves": items[start : start + _GREETED], "more": more})

    def _receive(self, daemon: _Daemon) -> None:
        while daemon in self._daemons:
            try:
                data, fds, _, _ = socket.recv_fds(daemon.connection, MAX_MESSAGE, MAX_FDS)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._lose(daemon)
                return
            try:
                answer = self._do(json.loads(data), fds)
            except (ValueError, KeyError, TypeError, OSError) as error:
                sys.stderr.write(f"{self._name}: a message is not understood: {error!r}\n")
                self._lose(daemon)
            else:
                if answer is not None:
                    daemon.send(*answer)

    def _lose(self, daemon: _Daemon) -> None:
        del self._daemons[daemon]
        daemon.close()


class _Daemon:
    """A connection, and what has not been sent yet to one that is slow to read."""

    __slots__ = ("_loop", "_receive", "_unsent", "connection")

    def __init__(
        self, loop: Loop, connection: socket.socket, receive: Callable[[_Daemon], None]
    ) -> None:
        connection.setblocking(False)
        self.connection = connection
        self._loop = loop
        self._receive = receive
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        loop.watch(connection.fileno(), self._ready)

    def send(self, message: dict[str, object], fds: Sequence[int] = ()) -> None:
        """The descriptors are closed here."""
        self._unsent.append((json.dumps(message, separators=(",", ":")).encode(), fds))
        self._flush()

    def close(self) -> None:
        self._loop.unwatch(self.connection.fileno())
        self.connection.close()
        while self._unsent:
            _close(self._unsent.popleft()[1])

    def _ready(self) -> None:
        if self._unsent:
            self._flush()
        self._receive(self)

    def _flush(self) -> None:
        events = IN
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                socket.send_fds(self.connection, [data], fds)
            except BlockingIOError:
                events = IN | OUT
                break
            except OSError:
                break  # it has gone; who reads finds out
            self._unsent.popleft()
            _close(fds)
        self._loop.change(self.connection.fileno(), events)


def inherited(numbers: Sequence[str]) -> list[socket.socket]:
    """The sockets that the daemon has given to this process, which becomes one of its own.

    It may open what the host allows, and keeps nothing else of the daemon's open.
    """
    kept = sorted(int(number) for number in numbers)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for start, end in zip([2, *kept], [*kept, most], strict=True):
        os.closerange(start + 1, end)
    os.setsid()
    os.chdir("/")
    return [socket.socket(fileno=int(number)) for number in numbers]


def run_at(path: str, run: Callable[[], None]) -> None:
    """Run to the end, then take the socket at `path` away where it is still this process's.

    It goes before the listener is closed: who still connects gets no answer, and starts another
    process only then, under the same name.
    """
    own = _inode(path)
    run()
    if own is not None and _inode(path) == own:
        os.unlink(path)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
