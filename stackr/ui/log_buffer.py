"""The lines of a stack's logs that the dashboard keeps, and which of them are shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from stackr.stack.log_lines import LogLine
from stackr.stack.log_position import LogPosition

__all__ = ["LogBuffer", "LogFilter"]

MOST_LINES = 10_000


@dataclass(frozen=True, slots=True)
class LogFilter:
    """container: by the name that lines have; "" for all. search: what a line has to hold.

    Upper and lower case are the same, unless an upper-case letter is searched for.
    """

    container: str = ""
    search: str = ""

    def matches(self, line: LogLine) -> bool:
        if self.container and line.container != self.container:
            return False
        text = line.text if self.search != self.search.lower() else line.text.lower()
        return self.search in text

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where what is searched for stands in a text: from, to."""
        if not self.search:
            return
        where = text if self.search != self.search.lower() else text.lower()
        at = where.find(self.search)
        while at >= 0:
            yield at, at + len(self.search)
            at = where.find(self.search, at + len(self.search))


@dataclass(slots=True)
class LogBuffer:
    """The last lines, and how far each container's log has come, so that reading goes on."""

    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _positions: dict[str, LogPosition] = field(default_factory=dict)

    def begin(self) -> float | None:
        """A reading of all logs begins; since when, in Unix seconds, None for from the start."""
        moments = [position.begin() for position in self._positions.values()]
        return min((each for each in moments if each is not None), default=None)

    def take(self, line: LogLine) -> bool:
        """Keep a line; False for one that has been taken before."""
        position = self._positions.setdefault(line.container, LogPosition())
        if not position.take(_nanoseconds(line.time)):
            return False
        self.lines.append(line)
        return True

    def chosen(self, wanted: LogFilter, most: int) -> list[LogLine]:
        """The last lines that match, at most so many, oldest first."""
        found: deque[LogLine] = deque(maxlen=most)
        found.extend(line for line in self.lines if wanted.matches(line))
        return list(found)


def _nanoseconds(time: str) -> int:
    """RFC 3339 with nine digits of a second, as lines have it, to nanoseconds; 0 for none."""
    if not time:
        return 0
    moment, _, fraction = time.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{moment}+00:00").timestamp()) * 10**9 + int(fraction or 0)
