"""Bytes between the event loop and a thread that reads or writes a file: what tarfile needs."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import IO, Any, TypeVar, cast

__all__ = ["consumed", "produced"]

T = TypeVar("T")
_QUEUED = 4
_BATCH = 1 << 18


async def consumed(chunks: AsyncIterator[bytes], consume: Callable[[IO[bytes]], T]) -> T:
    """Run `consume` in a thread, with a file that gives these chunks."""
    reader = _Reader(asyncio.get_running_loop(), chunks)
    return await asyncio.to_thread(consume, io.BufferedReader(reader))


class _Reader(io.RawIOBase):
    def __init__(self, loop: asyncio.AbstractEventLoop, chunks: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._loop = loop
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    async def _next(self) -> bytes | None:
        """Many chunks as one: each call goes from thread to thread and back."""
        gathered = bytearray()
        while len(gathered) < _BATCH:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            gathered += chunk
        return bytes(gathered) or None


async def produced(produce: Callable[[IO[bytes]], None]) -> AsyncGenerator[bytes, None]:
    """What `produce` writes to its file, in a thread; raises what it raises.

    A consumer that stops early ends it: its next write raises BrokenPipeError.
    """
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED)
    writer = _Writer(asyncio.get_running_loop(), queue)

    def run() -> None:
        produce(cast(IO[bytes], writer))
        writer.send()

    async def work() -> None:
        try:
            await asyncio.to_thread(run)
        finally:
            writer.is_closed_by_reader = True
            await queue.put(None)

    task = asyncio.create_task(work())
    try:
        while (chunk := await queue.get()) is not None:
            yield chunk
        await task
    finally:
        writer.is_closed_by_reader = True
        while not task.done():
            while not queue.empty():
                queue.get_nowait()
            await asyncio.wait({task}, timeout=0.01)
        await asyncio.gather(task, return_exceptions=True)


class _Writer(io.RawIOBase):
    """Gathers small writes; what is gathered goes to the queue, which makes a fast thread wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[bytes | None]) -> None:
        super().__init__()
        self._loop = loop
        self._queue = queue
        self._gathered = bytearray()
        self.is_closed_by_reader = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._gathered += data
        if len(self._gathered) >= _BATCH:
            self.send()
        return len(data)

    def send(self) -> None:
        if self.is_closed_by_reader:
            raise BrokenPipeError("nobody reads any more")
        data, self._gathered = bytes(self._gathered), bytearray()
        if data:
            asyncio.run_coroutine_threadsafe(self._queue.put(data), self._loop).result()
