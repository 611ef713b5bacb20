"""Sends the entries of a log on, in order, without keeping the container waiting.

What cannot be sent waits, up to a size; then the oldest are dropped, and that is told once. A
connection that breaks is made anew. Source: Docker's `mode: non-blocking` and `max-buffer-size`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

from stackr.runtime.engine.container.io.deliveries import Address, Message

__all__ = ["LogSender"]

_log = logging.getLogger(__name__)

_BUFFER_BYTES: Final = 1 << 20
_FIRST_WAIT_S, _LAST_WAIT_S = 0.2, 10.0
_PATIENCE_S: Final = 10.0
_LAST_WORDS_S: Final = 3.0


class LogSender:
    """encode: a message's datagrams, or what of a stream it is. start: begins a task."""

    def __init__(
        self,
        address: Address,
        encode: Callable[[Message], Iterable[bytes]],
        *,
        start: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        buffer_bytes: int = 0,
    ) -> None:
        self._start = start
        self._address = address
        self._encode = encode
        self._most = buffer_bytes or _BUFFER_BYTES
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._has_dropped = False
        self._came = asyncio.Event()
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def send(self, messages: Iterable[Message]) -> None:
        """Returns at once."""
        for message in messages:
            for data in self._encode(message):
                self._waiting.append(data)
                self._bytes += len(data)
        while self._bytes > self._most and len(self._waiting) > 1:
            self._bytes -= len(self._waiting.popleft())
            if not self._has_dropped:
                self._has_dropped = True
                _log.warning("log of %s: what cannot be sent is dropped", self._address)
        self._came.set()
        if self._task is None:
            self._task = self._start(self._run(), f"log to {self._address.host}")

    async def close(self) -> None:
        """Give what is left a moment."""
        task, self._task = self._task, None
        if task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    while self._waiting:
                        await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._hang_up()

    async def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            self._came.clear()
            try:
                while self._waiting:
                    data = self._waiting[0]
                    async with asyncio.timeout(_PATIENCE_S):
                        await self._deliver(data)
                    if self._waiting and self._waiting[0] is data:
                        self._waiting.popleft()
                        self._bytes -= len(data)
                    wait_s = _FIRST_WAIT_S
            except (OSError, TimeoutError) as error:
                _log.debug("log of %s: %s", self._address, error)
                self._hang_up()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LAST_WAIT_S)
                continue
            await self._came.wait()

    async def _deliver(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._socket = await self._connected()
        if self._address.is_stream:
            await loop.sock_sendall(self._socket, data)
        else:
            while True:
                try:
                    self._socket.send(data)
                    return
                except BlockingIOError:
                    await asyncio.sleep(0.01)

    async def _connected(self) -> socket.socket:
        loop, address = asyncio.get_running_loop(), self._address
        kind = socket.SOCK_STREAM if address.is_stream else socket.SOCK_DGRAM
        if address.scheme.startswith("unix"):
            made, target = socket.socket(socket.AF_UNIX, kind), address.host
            family: object = None
        else:
            found = await loop.getaddrinfo(address.host, address.port, type=kind)
            family, _, _, _, place = found[0]
            made, target = socket.socket(family, kind), place  # type: ignore[assignment]
        made.setblocking(False)
        try:
            await loop.sock_connect(made, target)
        except BaseException:
            made.close()
            raise
        return made

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
