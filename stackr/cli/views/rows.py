"""One row per resource: what is being done to it, since when, and how far a transfer has come.

The state behind the live view, free of any terminal: text in, text out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from stackr.cli.views.units import seconds, size

__all__ = ["Row", "RowState", "Rows"]

_SPEED_WINDOW_S = 3.0


class RowState(Enum):
    """Where a row stands; a waiting one has nothing to show yet."""

    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(slots=True)
class Row:
    """A resource's line. Times are seconds of one monotonic clock; sizes are bytes."""

    label: str
    text: str
    started: float
    state: RowState = RowState.WORKING
    ended: float | None = None
    current: int = 0
    total: int | None = None
    _samples: list[tuple[float, int]] = field(default_factory=list)

    def transfer(self, now: float, current: int, total: int | None) -> None:
        """Record that `current` bytes, of `total` if that is known, have arrived."""
        self.current, self.total = current, total
        self._samples.append((now, current))
        while len(self._samples) > 2 and self._samples[0][0] < now - _SPEED_WINDOW_S:
            self._samples.pop(0)

    @property
    def speed(self) -> float:
        """Bytes per second over the last three seconds."""
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return max(after - before, 0) / (last - first) if last > first else 0.0

    def elapsed(self, now: float) -> str:
        return seconds((now if self.ended is None else self.ended) - self.started)

    def detail(self) -> str:
        """`12.1MB / 83MB  41MB/s` of a transfer in progress, else nothing."""
        if not self.current or self.state is not RowState.WORKING:
            return ""
        amount = size(self.current) + (f" / {size(self.total)}" if self.total else "")
        return f"{amount}  {size(self.speed)}/s" if self.speed else amount


@dataclass(slots=True)
class Rows:
    """The rows, in the order in which their resources were first touched."""

    by_key: dict[str, Row] = field(default_factory=dict)

    def begin(self, key: str, label: str, text: str, now: float) -> Row:
        """Something starts on a resource; its row is made, or taken up again."""
        row = self.by_key.get(key)
        if row is None:
            row = self.by_key[key] = Row(label, text, now)
        elif row.state is not RowState.WORKING:
            row.started, row.ended = now, None
        row.text, row.state = text, RowState.WORKING
        return row

    def end(self, key: str, label: str, text: str, state: RowState, now: float) -> Row:
        """What was done to the resource is over."""
        row = self.by_key.get(key) or self.begin(key, label, text, now)
        row.text, row.state, row.ended = text, state, now
        return row

    @property
    def finished(self) -> int:
        return sum(row.state is not RowState.WORKING for row in self.by_key.values())

    def visible(self, height: int) -> list[Row]:
        """At most `height` rows: those at work, then the latest that ended; in their order."""
        rows = list(self.by_key.values())
        if len(rows) <= height:
            return rows
        ranked = sorted(
            range(len(rows)),
            key=lambda at: (rows[at].state is not RowState.WORKING, -(rows[at].ended or 0.0), at),
        )
        return [rows[at] for at in sorted(ranked[:height])]
