"""Which clients have hung up: seen without reading from them, by one epoll instance for all.

A connection whose client has closed its side only is not hung up, and stays quiet until then.
Source: epoll(7), `EPOLLHUP` and `EPOLLET`.
"""

from __future__ import annotations

import asyncio
import contextlib
import select

__all__ = ["HangUps"]


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
