"""Which clients have hung up: seen without reading from them, by one epoll instance for all.

A connection whose client has closed its side only is not hung up, and stays quiet until then.
Source: epoll(7), `EPOLLHUP` and `EPOLLET`; poll(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket

__all__ = ["HangUps", "events", "is_hung_up"]


def events(connection: socket.socket, asked: int = 0) -> int:
    """What poll(2) tells of it now; `POLLHUP` and `POLLERR` need not be asked for."""
    poll = select.poll()
    poll.register(connection, asked)
    return sum(found for _, found in poll.poll(0))


def is_hung_up(connection: socket.socket) -> bool:
    """Whether the client has closed both sides; so too where it is closed here for that."""
    return connection.fileno() < 0 or bool(events(connection) & select.POLLHUP)


class HangUps:
    """Used on the event loop alone; `close` once nobody waits any more."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._waiting: dict[int, asyncio.Event] = {}

    async def wait(self, fd: int) -> None:
        """Until the client of this connection has closed both sides."""
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._readable)
        hung_up = self._waiting[fd] = asyncio.Event()
        self._epoll.register(fd, select.EPOLLET)  # hang-ups are always reported
        try:
            await hung_up.wait()
        finally:
            del self._waiting[fd]
            with contextlib.suppress(OSError):  # it is closed already
                self._epoll.unregister(fd)

    def _readable(self) -> None:
        if self._epoll is not None:
            for fd, _ in self._epoll.poll(0):
                if fd in self._waiting:
                    self._waiting[fd].set()

    def close(self) -> None:
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
