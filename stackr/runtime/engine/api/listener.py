"""The API's listening socket: who is let in, and who has to go where descriptors run short.

A client takes a descriptor, and what it asks for takes more. So clients do not get the last ones:
connections on which nothing is asked for are closed then, those that have waited longest first, as
web servers do, and clients know how to connect again. Where there is none, who comes is told why.
Source: accept(2), "Error handling"; RFC 9112, 9.3 and 9.5.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import select
import socket
import stat
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackr.errors import Unavailable
from stackr.runtime.engine.api.hangups import events, is_hung_up
from stackr.runtime.engine.linux import descriptors
from stackr.runtime.engine.linux.exhaustion import EXHAUSTED
from stackr.runtime.engine.linux.peer import peer_pid

__all__ = ["Client", "Listener"]

_log = logging.getLogger(__name__)

_BACKLOG = 4096  # the kernel's own limit is net.core.somaxconn, 4096 where nobody has changed it
_ACCEPTED_AT_ONCE = 32
_CLOSED_AT_ONCE = 16
_REFUSED_AT_ONCE = 16
_PAUSE_S = 0.1
_TELL_AGAIN_S = 60.0

Serve = Callable[[socket.socket, Unavailable | None], Coroutine[Any, Any, None]]
"""Serves a connection to its end; with an error, answers its first request with that."""


@dataclass(frozen=True, slots=True)
class Client:
    """One connection, and the process that made it: 0 where it is out of sight."""

    connection: socket.socket
    pid: int

    @property
    def has_gone(self) -> bool:
        return is_hung_up(self.connection)


class Listener:
    """Accepts at one Unix socket, root's only; every connection is a task."""

    def __init__(self, path: Path, serve: Serve) -> None:
        self._path = path
        self._serve = serve
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self.connections: dict[asyncio.Task[None], Client] = {}
        self._refused: set[asyncio.Task[None]] = set()
        self._idle: dict[
            asyncio.Task[None], socket.socket
        ] = {}  # in the order of their last request
        self._making_room = asyncio.Lock()
        self._tell_again = 0.0

    def open(self) -> None:
        """Listen; a socket that a dead engine left is replaced. Raises Unavailable."""
        self._socket = _listen(self._path)
        self._accepting = asyncio.ensure_future(self._accept(self._socket))

    def reopen(self) -> None:
        """Listen at the same path again: somebody has removed the socket. Raises Unavailable."""
        former, accepting = self._socket, self._accepting
        if former is None or accepting is None:
            return
        self.open()
        accepting.add_done_callback(lambda _: former.close())
        accepting.cancel()

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    async def close(self) -> None:
        """Take no more; those that are connected stay."""
        listener, self._socket = self._socket, None
        if listener is None or self._accepting is None:
            return
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        listener.close()
        self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def idle(self, task: asyncio.Task[None], connection: socket.socket) -> Iterator[None]:
        """Within the block nothing is asked for on this task's connection: it may be closed."""
        self._idle[task] = connection
        try:
            yield
        finally:
            self._idle.pop(task, None)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in itertools.count():
            if number % _ACCEPTED_AT_ONCE == 0:
                await asyncio.sleep(0)  # the turn of those that are connected
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    await self._hang_up_idle()
                    await asyncio.sleep(_PAUSE_S)
                continue
            try:
                has_room = await self.make_room(1)
            except asyncio.CancelledError:
                connection.close()
                raise
            self._begin(connection, None if has_room else self._refusal())
            while len(self._refused) >= _REFUSED_AT_ONCE:
                await asyncio.wait(self._refused, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, connection: socket.socket, refusal: Unavailable | None) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(connection, refusal))
        task.add_done_callback(lambda _: connection.close())  # also of one that never began
        self.connections[task] = Client(connection, peer_pid(connection))
        task.add_done_callback(self.connections.pop)
        if refusal:
            self._refused.add(task)
            task.add_done_callback(self._refused.discard)

    async def caught_up(self) -> None:
        """Return once everybody who had come before this call is let in."""
        while self._socket is not None and events(self._socket, select.POLLIN):
            await asyncio.sleep(0)

    async def make_room(self, shares: int) -> bool:
        """Whether so many shares of the descriptors are free, now or once idle clients have gone.

        One asks after the other, so that of many who come at once those after the first refused
        ones find their room.
        """
        async with self._making_room:
            needed = shares * descriptors.share()
            while descriptors.free() <= needed and await self._hang_up_idle():
                pass
            return descriptors.free() > needed

    async def _hang_up_idle(self) -> bool:
        """Whether there were any. A request that is here already is answered first."""
        oldest = [*self._idle.items()][:_CLOSED_AT_ONCE]
        for task, connection in oldest:
            del self._idle[task]
            with contextlib.suppress(OSError):  # the client has just closed it
                connection.shutdown(socket.SHUT_RD)
        if oldest:
            await asyncio.wait([task for task, _ in oldest], timeout=_PAUSE_S)
        return bool(oldest)

    def _refusal(self) -> Unavailable:
        """Told to the client, and now and then to the log."""
        clients = f", and {len(self.connections)} clients are connected"
        error = descriptors.too_many_open_files(clients)
        now = time.monotonic()
        if now >= self._tell_again:
            self._tell_again = now + _TELL_AGAIN_S
            _log.warning("clients are turned away: %s", error.message)
        return error


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`, born beside it and renamed, so that it is never half ready."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise Unavailable(f'socket "{path}": something else is there')
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(new))
        os.chmod(new, 0o660)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        os.rename(new, path)
    except OSError as error:
        listener.close()
        new.unlink(missing_ok=True)
        raise Unavailable(f'socket "{path}": cannot listen: {error}') from error
    return listener
