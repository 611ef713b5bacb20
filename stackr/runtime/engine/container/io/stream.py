"""Streams to and from a container's processes: attached ones, and those of an exec session.

Both have the same four methods, for the API to carry over a hijacked connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

__all__ = ["AttachStream", "ConsoleStream", "PendingStream", "PipeStream"]

STDOUT = 1
STDERR = 2

_BLOCK = 32 << 10
_MONITOR_STDERR = 3
_QUEUED_BLOCKS = 16


class AttachStream(Protocol):
    """`read` gives the stream (1 stdout, 2 stderr) and bytes, None at the end of all output."""

    async def read(self) -> tuple[int, bytes] | None: ...
    async def write(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def close(self) -> None: ...


class ConsoleStream:
    """The attach socket of a container's monitor."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def read(self) -> tuple[int, bytes] | None:
        loop = asyncio.get_running_loop()
        try:
            message = await loop.sock_recv(self._connection, _BLOCK)
        except ConnectionResetError:
            # The monitor has left input unread, which is told once, and before what it has sent.
            message = await loop.sock_recv(self._connection, _BLOCK)
        if not message:
            return None
        return (STDERR if message[0] == _MONITOR_STDERR else STDOUT), message[1:]

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), 8192):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await loop.sock_sendall(self._connection, data[start : start + 8192])

    async def close_stdin(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        self._connection.close()


class PendingStream:
    """The console of a container that is about to start: connected before its program begins."""

    def __init__(self) -> None:
        self._console: asyncio.Future[ConsoleStream | None] = (
            asyncio.get_running_loop().create_future()
        )

    @property
    def is_wanted(self) -> bool:
        """Nobody has closed it, or connected it."""
        return not self._console.done()

    def connect(self, console: ConsoleStream) -> None:
        self._console.set_result(console)

    def fail(self) -> None:
        """The container did not start: there is no output, and nobody reads."""
        if self.is_wanted:
            self._console.set_result(None)

    async def read(self) -> tuple[int, bytes] | None:
        console = await asyncio.shield(self._console)
        return await console.read() if console else None

    async def write(self, data: bytes) -> None:
        console = await asyncio.shield(self._console)
        if console:
            await console.write(data)

    async def close_stdin(self) -> None:
        console = await asyncio.shield(self._console)
        if console:
            await console.close_stdin()

    async def close(self) -> None:
        if self.is_wanted:
            self._console.cancel()
        elif not self._console.cancelled() and (console := self._console.result()):
            await console.close()


class PipeStream:
    """The pipes or the terminal of an exec session.

    outputs: stream -> descriptor to read; stdin: descriptor to write, or None. All are closed here.
    failure: why the program never ran, "" where it does; known by the end of all output.
    """

    def __init__(
        self,
        outputs: dict[int, int],
        stdin: int | None,
        *,
        is_tty: bool = False,
        failure: Callable[[], Coroutine[Any, Any, str]],
    ) -> None:
        self._outputs = outputs
        self._stdin = stdin
        self._is_tty = is_tty
        self._queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(_QUEUED_BLOCKS)
        self._readers: list[asyncio.Task[None]] = []
        self._open = len(outputs)
        self._failure = failure
        self._verdict: asyncio.Task[str] | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._readers = [
            loop.create_task(self._pump(stream, fd)) for stream, fd in self._outputs.items()
        ]

    async def _pump(self, stream: int, fd: int) -> None:
        """What comes before the verdict may be the runtime's own complaint, and waits for it."""
        while data := await _read(fd):
            if not await self._error():
                await self._queue.put((stream, data))
        self._open -= 1
        if not self._open:
            error = await self._error()
            if error:
                await self._queue.put((STDOUT, error.encode() + b"\r\n"))
            await self._queue.put(None)

    async def _error(self) -> str:
        if self._verdict is None:
            self._verdict = asyncio.ensure_future(self._failure())
        return await asyncio.shield(self._verdict)

    async def read(self) -> tuple[int, bytes] | None:
        return await self._queue.get()

    async def write(self, data: bytes) -> None:
        if self._stdin is None:
            return
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                await _ready(self._stdin, writing=True)
            except OSError:
                return  # the program does not read any more

    async def close_stdin(self) -> None:
        """The end of input; a terminal has none, and its user may come back."""
        if self._stdin is None or self._is_tty:
            return
        os.close(self._stdin)
        self._stdin = None

    async def close(self) -> None:
        tasks = [*self._readers, *([self._verdict] if self._verdict else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for fd in {*self._outputs.values(), *([self._stdin] if self._stdin is not None else [])}:
            os.close(fd)
        self._outputs, self._stdin = {}, None


async def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, _BLOCK)
        except BlockingIOError:
            await _ready(fd, writing=False)
        except OSError as error:
            if error.errno == errno.EIO:  # a terminal whose last user is gone
                return b""
            raise


async def _ready(fd: int, *, writing: bool) -> None:
    """One may wait to read and another to write, as a terminal has one number for both."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    (loop.add_writer if writing else loop.add_reader)(fd, _resolve, done)
    try:
        await done
    finally:
        (loop.remove_writer if writing else loop.remove_reader)(fd)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
