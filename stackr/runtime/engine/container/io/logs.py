"""A container's log as its monitor writes it: its entries, and which of them are asked for.

A line of the file is "TIME STREAM TAG TEXT", where tag P says that the text's line goes on in the
next. Source: the Kubernetes CRI log format, as conmon writes it; Docker Engine API `GET
/containers/{id}/logs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.container.settings.spec import LogConfig

__all__ = ["LineJoiner", "LogEntry", "LogQuery", "check_log_config", "max_log_size"]

_LONGEST_LINE = 1 << 20
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class LogEntry:
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


def check_log_config(config: LogConfig) -> None:
    """Raises NotSupported for another driver or option, InvalidArgument for a bad size."""
    if config.type not in ("", "json-file", "local", "none"):
        raise NotSupported(
            f"HostConfig.LogConfig: log driver not supported by the embedded engine: {config.type}"
        )
    for key in config.config:
        if key not in ("max-size", "max-file"):
            raise NotSupported(
                f"HostConfig.LogConfig: option not supported by the embedded engine: {key}"
            )
    max_log_size(config)


def max_log_size(config: LogConfig) -> int:
    """The most bytes that the log may take: `max-size` times `max-file`; 0 for no limit.

    The log is one file, begun anew when it is full. Raises InvalidArgument for a bad figure.
    """
    size, count = config.config.get("max-size", ""), config.config.get("max-file", "1")
    if not count.isdecimal() or int(count) < 1:
        raise InvalidArgument(f"invalid log option max-file: {count}")
    if not size or size == "-1":
        return 0
    text = size.lower().removesuffix("b")
    unit = text[-1:] if text[-1:] in _UNITS else ""
    number = text.removesuffix(unit) if unit else text
    if not number.isdecimal() or int(number) == 0:
        raise InvalidArgument(f"invalid log option max-size: {size}")
    return int(number) * _UNITS[unit] * int(count)


class LineJoiner:
    """Puts the pieces of long lines together, for each stream."""

    def __init__(self) -> None:
        self._partial: dict[str, LogEntry] = {}

    def add(self, line: bytes) -> Iterator[LogEntry]:
        parsed = _parse(line)
        if parsed is None:
            return
        entry, is_partial = parsed
        before = self._partial.pop(entry.stream, None)
        if before is not None:
            entry = replace(before, line=before.line + entry.line)
        if is_partial and len(entry.line) < _LONGEST_LINE:
            self._partial[entry.stream] = entry
        elif is_partial:
            yield entry
        else:
            yield replace(entry, line=entry.line + b"\n")

    def rest(self) -> Iterator[LogEntry]:
        """What has no end of line yet."""
        yield from sorted(self._partial.values(), key=lambda entry: entry.time_ns)


def _parse(line: bytes) -> tuple[LogEntry, bool] | None:
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[2] not in (b"P", b"F"):
        return None
    time_ns = _nanoseconds(parts[0].decode(errors="replace"))
    if time_ns is None:
        return None
    stream = parts[1].decode(errors="replace")
    return LogEntry(stream, time_ns, parts[3]), parts[2] == b"P"


def _nanoseconds(text: str) -> int | None:
    """ "2026-01-02T03:04:05.123456789+00:00" in nanoseconds since the epoch."""
    base, dot, rest = text.partition(".")
    digits = rest[:9]
    seconds = _seconds(base, rest[9:] or "+00:00")
    if not dot or len(digits) != 9 or not digits.isdecimal() or seconds is None:
        return None
    return seconds * 10**9 + int(digits)


@lru_cache(maxsize=8)
def _seconds(base: str, zone: str) -> int | None:
    try:
        return int(datetime.fromisoformat(base + zone.replace("Z", "+00:00")).timestamp())
    except ValueError:
        return None
