"""The lines of a stack's containers, as values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from stackr.runtime.protocol import Runtime
from stackr.stack.containers import project_containers
from stackr.stack.context import Context
from stackr.stack.log_read import (
    LogSink,
    LogWindow,
    moment_of,
    read_logs,
    text_of,
    with_logs,
)
from stackr.stack.log_request import LogRequest, show_logs

__all__ = ["LogLine", "MessageSink", "lines_of", "log_lines"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a container wrote, without its end. time: RFC 3339, as the engine noted it."""

    container: str
    text: str
    time: str
    is_error: bool = False


async def log_lines(
    context: Context, runtime: Runtime, project: str, request: LogRequest
) -> AsyncIterator[LogLine]:
    """What `request` asks for, line by line; a log that cannot be read is a warning."""
    if request.follow or request.index is not None:
        timed = replace(request, timestamps=True)
        async for line in lines_of(context, lambda sink: show_logs(runtime, project, timed, sink)):
            yield line
        return
    containers = await project_containers(runtime, project, request.services, steps=True)
    window = LogWindow(request.tail, request.since, request.until)
    async for name, entry in read_logs(with_logs(runtime), containers, window, _Sink(context)):
        yield LogLine(name, text_of(entry), moment_of(entry), entry.stream == "stderr")


async def lines_of(
    context: Context, show: Callable[[LogSink], Awaitable[None]]
) -> AsyncIterator[LogLine]:
    """The lines that `show` tells, with their times, as they come."""
    sink = _Sink(context)
    work = asyncio.ensure_future(show(sink))
    work.add_done_callback(lambda done: sink.end())
    try:
        while (line := await sink.next()) is not None:
            yield line
        await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


class MessageSink:
    """Takes lines for a reader who is told of everything else as well."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def register(self, names: Iterable[str]) -> None:
        """Names need no room here."""

    def line(self, name: str, text: str, *, is_error: bool = False, moment: str = "") -> None:
        self.status(name, text)

    def status(self, name: str, text: str) -> None:
        self._context.message(f"{name}: {text}")

    def problem(self, name: str, text: str) -> None:
        self._context.warning(f"{name} {text}")


class _Sink:
    """Holds lines that come by themselves until they are taken."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue: asyncio.Queue[LogLine | None] = asyncio.Queue()

    async def next(self) -> LogLine | None:
        """None at the end."""
        return await self._queue.get()

    def end(self) -> None:
        self._queue.put_nowait(None)

    def register(self, names: Iterable[str]) -> None:
        """Names need no room here."""

    def line(self, name: str, text: str, *, is_error: bool = False, moment: str = "") -> None:
        self._queue.put_nowait(LogLine(name, text, moment, is_error))

    def status(self, name: str, text: str) -> None:
        """The lines alone are asked for."""

    def problem(self, name: str, text: str) -> None:
        self._context.warning(f"{name} {text}")
