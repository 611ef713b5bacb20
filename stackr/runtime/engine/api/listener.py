"""The API's listening sockets: who is let in, and who has to go where descriptors run short.

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
import select
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from stackr.errors import Unavailable
from stackr.runtime.engine.api.endpoints import Endpoint
from stackr.runtime.engine.api.hangups import events, is_hung_up
from stackr.runtime.engine.linux import descriptors
from stackr.runtime.engine.linux.exhaustion import EXHAUSTED
from stackr.runtime.engine.linux.peer import peer_pid

__all__ = ["Client", "Listener"]

_log = logging.getLogger(__name__)

_ACCEPTED_AT_ONCE = 32
_CLOSED_AT_ONCE = 16
_REFUSED_AT_ONCE = 16
_PAUSE_S = 0.1
_TELL_AGAIN_S = 60.0


@dataclass(slots=True, eq=False)
class Client:
    """One connection, where it came in, and the process that made it: 0 where it is out of sight.

    name: what the client calls itself, "" for nothing: all connections of one command have one.
    """

    connection: socket.socket
    endpoint: Endpoint
    pid: int
    name: str = ""

    @property
    def has_gone(self) -> bool:
        return is_hung_up(self.connection)

    def is_of(self, other: Client) -> bool:
        """Whether one command made both; of a command on another host, its name tells."""
        return self.name == other.name if other.name else self.pid == other.pid


Serve = Callable[[Client, Unavailable | None], Coroutine[Any, Any, None]]
"""Serves a connection to its end; with an error, answers its first request with that."""


class Listener:
    """Accepts at its endpoints, of which the first is the engine's own; connections are tasks."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._accepting: dict[asyncio.Task[None], Endpoint] = {}
        self._own: asyncio.Task[None] | None = None
        self.connections: dict[asyncio.Task[None], Client] = {}
        self._refused: set[asyncio.Task[None]] = set()
        self._idle: dict[
            asyncio.Task[None], socket.socket
        ] = {}  # in the order of their last request
        self._making_room = asyncio.Lock()
        self._tell_again = 0.0

    def open(self, endpoint: Endpoint) -> None:
        """Accept there as well; it is closed with this listener."""
        task = asyncio.ensure_future(self._accept(endpoint))
        self._accepting[task] = endpoint
        self._own = self._own or task

    def replace_own(self, endpoint: Endpoint) -> None:
        """Accept at this one from now on instead: somebody has removed the former."""
        former, self._own = self._own, None
        self.open(endpoint)
        if former is not None:
            old = self._accepting.pop(former)
            former.add_done_callback(lambda _: old.listener.close())
            former.cancel()

    @property
    def is_open(self) -> bool:
        return bool(self._accepting)

    async def close(self) -> None:
        """Take no more; those that are connected stay."""
        accepting, self._accepting = self._accepting, {}
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        for endpoint in accepting.values():
            endpoint.close()

    @contextlib.contextmanager
    def idle(self, task: asyncio.Task[None], connection: socket.socket) -> Iterator[None]:
        """Within the block nothing is asked for on this task's connection: it may be closed."""
        self._idle[task] = connection
        try:
            yield
        finally:
            self._idle.pop(task, None)

    async def _accept(self, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        for number in itertools.count():
            if number % _ACCEPTED_AT_ONCE == 0:
                await asyncio.sleep(0)  # the turn of those that are connected
            try:
                connection, _ = await loop.sock_accept(endpoint.listener)
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
            self._begin(connection, endpoint, None if has_room else self._refusal())
            while len(self._refused) >= _REFUSED_AT_ONCE:
                await asyncio.wait(self._refused, return_when=asyncio.FIRST_COMPLETED)

    def _begin(
        self, connection: socket.socket, endpoint: Endpoint, refusal: Unavailable | None
    ) -> None:
        pid = peer_pid(connection) if endpoint.is_local else 0
        client = Client(connection, endpoint, pid)
        task = asyncio.get_running_loop().create_task(self._serve(client, refusal))
        task.add_done_callback(lambda _: connection.close())  # also of one that never began
        self.connections[task] = client
        task.add_done_callback(self.connections.pop)
        if refusal:
            self._refused.add(task)
            task.add_done_callback(self._refused.discard)

    async def caught_up(self) -> None:
        """Return once everybody who had come before this call is let in."""
        while any(events(each.listener, select.POLLIN) for each in self._accepting.values()):
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
