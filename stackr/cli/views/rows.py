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
    """Where a row stands. done: all that was to be done to the resource is."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


_RANKS = {RowState.WORKING: 0, RowState.FAILED: 1, RowState.WAITING: 2, RowState.SKIPPED: 2}
"""What is shown first where there is no room for all; what is done comes last."""


@dataclass(slots=True)
class Row:
    """A resource's line. Times are seconds of one monotonic clock; sizes are bytes."""

    label: str
    text: str = ""
    started: float | None = None
    state: RowState = RowState.WAITING
    ended: float | None = None
    current: int = 0
    total: int | None = None
    below: dict[str, Row] = field(default_factory=dict)
    """Rows of its own, such as a build's steps, by a key."""
    _samples: list[tuple[float, int]] = field(default_factory=list)

    def begin(self, text: str, now: float) -> None:
        """Something starts on the resource; its time counts from the first such start."""
        self.started = now if self.started is None else self.started
        self.text, self.state, self.ended = text, RowState.WORKING, None

    def end(self, text: str, state: RowState, now: float) -> None:
        self.started = now if self.started is None else self.started
        self.text, self.state, self.ended = text, state, now
        self.total, self._samples = None, []

    def transfer(self, now: float, current: int, total: int | None) -> None:
        """Record that `current` bytes, of `total` if that is known, have arrived."""
        if current < self.current:
            self._samples = []  # of another phase
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

    @property
    def share(self) -> float | None:
        """How much of a transfer in progress is done, 0 to 1; None of anything else."""
        if self.state is not RowState.WORKING or not self.total:
            return None
        return min(self.current / self.total, 1.0)

    def elapsed(self, now: float) -> str:
        if self.started is None:
            return ""
        return seconds((now if self.ended is None else self.ended) - self.started)

    def detail(self) -> str:
        """`12.1MB / 83MB  41MB/s` of a transfer in progress, else nothing."""
        if not self.current or self.state is not RowState.WORKING:
            return ""
        amount = size(self.current) + (f" / {size(self.total)}" if self.total else "")
        return f"{amount}  {size(self.speed)}/s" if self.speed else amount


@dataclass(slots=True)
class Rows:
    """The rows by key, in the order in which they are shown."""

    by_key: dict[str, Row] = field(default_factory=dict)

    def get(self, key: str) -> Row:
        """The row of a resource, which is made where there is none yet."""
        return self.by_key.setdefault(key, Row(key))

    def every(self) -> list[Row]:
        """All rows, each with those below it."""
        return [each for row in self.by_key.values() for each in (row, *row.below.values())]

    @property
    def done(self) -> int:
        """How many have reached their goal; it never falls, as a row is done once."""
        return sum(row.state is RowState.DONE for row in self.by_key.values())

    def visible(self, height: int) -> list[Row]:
        """At most `height` rows: those at work, those that wait, then the latest that ended."""
        rows = self.every()
        if len(rows) <= height:
            return rows
        ranked = sorted(
            range(len(rows)),
            key=lambda at: (_RANKS.get(rows[at].state, 3), -(rows[at].ended or 0.0), at),
        )
        return [rows[at] for at in sorted(ranked[:height])]
