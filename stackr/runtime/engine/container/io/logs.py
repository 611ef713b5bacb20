"""A container's log as its monitor writes it: its entries, and which of them are asked for.

A line of the file is "TIME STREAM TAG TEXT", where tag P says that the text's line goes on in the
next. Source: the Kubernetes CRI log format, as conmon writes it; Docker Engine API `GET
/containers/{id}/logs`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

__all__ = ["EntryJoiner", "LineJoiner", "LogEntry", "LogQuery", "Selection", "nanoseconds"]

_LONGEST_LINE = 1 << 20


class LogEntry(NamedTuple):
    """stream: "stdout" or "stderr"; time_ns: since the epoch; line: its newline included."""

    stream: str
    time_ns: int
    line: bytes


@dataclass(frozen=True, slots=True)
class LogQuery:
    """since_ns, until_ns: 0 for no bound; tail: lines from the end, None for all."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since_ns: int = 0
    until_ns: int = 0
    tail: int | None = None

    def wants(self, entry: LogEntry) -> bool:
        if not (self.stdout if entry.stream == "stdout" else self.stderr):
            return False
        return entry.time_ns >= self.since_ns and not self.is_past(entry)

    def is_past(self, entry: LogEntry) -> bool:
        return bool(self.until_ns) and entry.time_ns > self.until_ns


class EntryJoiner(ABC):
    """Puts the pieces of long lines together, for each stream."""

    def __init__(self) -> None:
        self._partial: dict[str, LogEntry] = {}

    @abstractmethod
    def add_line(self, line: bytes) -> LogEntry | None:
        """The whole line that there is with this one of the file."""

    def add(self, entry: LogEntry) -> LogEntry | None:
        """The whole line that there is with it: one that ends in a newline is the last piece."""
        if self._partial:
            before = self._partial.pop(entry.stream, None)
            if before is not None:
                entry = before._replace(line=before.line + entry.line)
        if entry.line.endswith(b"\n") or len(entry.line) >= _LONGEST_LINE:
            return entry
        self._partial[entry.stream] = entry
        return None

    def rest(self) -> list[LogEntry]:
        """What has no end of line yet."""
        return sorted(self._partial.values(), key=lambda entry: entry.time_ns)


class LineJoiner(EntryJoiner):
    """Of lines of the monitor's own format."""

    def add_line(self, line: bytes) -> LogEntry | None:
        parsed = _parse(line)
        if parsed is None:
            return None
        entry, is_partial = parsed
        return self.add(entry if is_partial else entry._replace(line=entry.line + b"\n"))


class Selection:
    """Of the lines of a log, in their order, the entries that are asked for."""

    def __init__(self, query: LogQuery, joiner: EntryJoiner) -> None:
        self._query = query
        self._joiner = joiner
        self.is_over = False
        """Whether nothing that comes after is asked for."""

    def take(self, lines: Iterable[bytes]) -> list[LogEntry]:
        """Those that are whole with these lines."""
        chosen, add, query = list[LogEntry](), self._joiner.add_line, self._query
        for line in lines:
            entry = add(line)
            if entry is None:
                continue
            if query.is_past(entry):
                self.is_over = True
                break
            if query.wants(entry):
                chosen.append(entry)
        return chosen

    def rest(self) -> list[LogEntry]:
        """What has no end of line, at the log's end."""
        return [entry for entry in self._joiner.rest() if self._query.wants(entry)]


def _parse(line: bytes) -> tuple[LogEntry, bool] | None:
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[2] not in (b"P", b"F"):
        return None
    time_ns = nanoseconds(parts[0].decode(errors="replace"))
    if time_ns is None:
        return None
    stream = parts[1].decode(errors="replace")
    return LogEntry(stream, time_ns, parts[3]), parts[2] == b"P"


def nanoseconds(text: str) -> int | None:
    """ "2026-01-02T03:04:05.123456789+00:00", or fewer digits and "Z", since the epoch."""
    base, dot, rest = text.partition(".")
    if not dot:
        seconds = _seconds(base.removesuffix("Z"), "+00:00")
        return None if seconds is None else seconds * 10**9
    digits = rest[:9] if rest[:9].isdecimal() else rest.rstrip("Z").partition("+")[0]
    seconds = _seconds(base, rest[len(digits) :] or "+00:00")
    if not digits.isdecimal() or len(digits) > 9 or seconds is None:
        return None
    return seconds * 10**9 + int(digits.ljust(9, "0"))


@lru_cache(maxsize=8)
def _seconds(base: str, zone: str) -> int | None:
    try:
        return int(datetime.fromisoformat(base + zone.replace("Z", "+00:00")).timestamp())
    except ValueError:
        return None
