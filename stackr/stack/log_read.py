"""Containers' logs as they are by now: read once, and merged by time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from stackr.errors import NotFound, NotSupported
from stackr.runtime.protocol import Runtime, SupportsLogs
from stackr.runtime.types import ContainerState, LogEntry
from stackr.stack.containers import display_name

__all__ = [
    "LogRuntime",
    "LogSink",
    "LogWindow",
    "NoSink",
    "moment_of",
    "print_logs",
    "read_logs",
    "text_of",
    "with_logs",
]


class LogSink(Protocol):
    """Takes containers' lines as they come."""

    def register(self, names: Iterable[str]) -> None:
        """These are going to speak."""
        ...

    def line(self, name: str, text: str, *, is_error: bool = False, moment: str = "") -> None:
        """One line, without its end; `moment` is its time, where that is to be shown."""
        ...

    def status(self, name: str, text: str) -> None:
        """What happened to a container: `exited with code 0`."""
        ...

    def problem(self, name: str, text: str) -> None:
        """Why a container's output is not shown."""
        ...


class NoSink:
    """Takes nothing: of problems, somebody else tells."""

    def register(self, names: Iterable[str]) -> None:
        return

    def line(self, name: str, text: str, *, is_error: bool = False, moment: str = "") -> None:
        return

    def status(self, name: str, text: str) -> None:
        return

    def problem(self, name: str, text: str) -> None:
        return


class LogRuntime(Runtime, SupportsLogs, Protocol):
    """An engine that keeps its containers' output."""


def with_logs(runtime: Runtime) -> LogRuntime:
    """The same runtime, as one that has logs. Raises NotSupported if it has none."""
    if not isinstance(runtime, SupportsLogs):
        raise NotSupported("logs: this engine does not offer them")
    return runtime


@dataclass(frozen=True, slots=True)
class LogWindow:
    """Which lines: the last `tail` (None for all) between `since` and `until` (Unix seconds)."""

    tail: int | None = None
    since: float | None = None
    until: float | None = None


async def print_logs(
    runtime: LogRuntime,
    containers: Iterable[ContainerState],
    window: LogWindow,
    lines: LogSink,
    *,
    timestamps: bool = False,
) -> None:
    """Print what the containers have written so far, all lines in the order of their times.

    Where a container's log is not kept, that is said in its place.
    """
    async for name, entry in read_logs(runtime, containers, window, lines):
        lines.line(name, text_of(entry), moment=moment_of(entry) if timestamps else "")


async def read_logs(
    runtime: LogRuntime, containers: Iterable[ContainerState], window: LogWindow, lines: LogSink
) -> AsyncIterator[tuple[str, LogEntry]]:
    """What containers have written so far, in the order of the times. lines: hears of problems."""
    streams = {
        display_name(container): runtime.logs(
            container.id,
            tail=window.tail,
            since=window.since,
            until=window.until,
            timestamps=True,
        )
        for container in containers
    }
    lines.register(streams)
    async for name, entry in _merged(streams, lines):
        yield name, entry


async def _merged(
    streams: dict[str, AsyncIterator[LogEntry]], lines: LogSink
) -> AsyncIterator[tuple[str, LogEntry]]:
    """Merge streams that are each in order; one entry of each is held at a time."""
    firsts = await asyncio.gather(*(_next(name, stream, lines) for name, stream in streams.items()))
    heads = {name: entry for name, entry in zip(streams, firsts, strict=True) if entry is not None}
    while heads:
        name = min(heads, key=lambda name: heads[name].time_ns)
        yield name, heads[name]
        entry = await _next(name, streams[name], lines)
        if entry is None:
            del heads[name]
        else:
            heads[name] = entry


async def _next(name: str, stream: AsyncIterator[LogEntry], lines: LogSink) -> LogEntry | None:
    """The next entry; None at the end, or where the container's log is not kept."""
    try:
        return await anext(stream, None)
    except NotFound:
        return None
    except NotSupported as error:
        lines.problem(name, f"shows no output: {error.message}")
        return None


class _Timed(Protocol):
    @property
    def line(self) -> bytes: ...
    @property
    def time_ns(self) -> int: ...


def text_of(entry: _Timed) -> str:
    return entry.line.decode(errors="replace").removesuffix("\r")


def moment_of(entry: _Timed) -> str:
    seconds, nanoseconds = divmod(entry.time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
