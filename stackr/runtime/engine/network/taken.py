"""Which addresses networks take, kept so that a free subnet is found at once among thousands. Pure.

Subnets that touch are one run: networks that were made one after the other leave few runs, however
many they are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain

from stackr.runtime.engine.network.ipam import Run, Span

__all__ = ["Taken"]


class Taken:
    """The spans of each network, by its ID."""

    def __init__(self) -> None:
        self._spans: dict[str, Sequence[Span]] = {}
        self._runs: dict[int, list[Run]] = {4: [], 6: []}
        self._has_overlaps = False

    def put(self, id: str, spans: Sequence[Span]) -> None:
        """In place of what it had."""
        self.drop(id)
        self._spans[id] = spans
        for span in spans:
            self._has_overlaps |= _join(self._runs[span.version], span.low, span.high)

    def drop(self, id: str) -> None:
        spans = self._spans.pop(id, ())
        if self._has_overlaps:
            self._join_all()
            return
        for span in spans:
            _cut(self._runs[span.version], span.low, span.high)

    def spans(self) -> Iterable[Span]:
        return chain.from_iterable(self._spans.values())

    def runs(self, version: int) -> Sequence[Run]:
        """Of an IP version, in order, with gaps between them."""
        return self._runs[version]

    def _join_all(self) -> None:
        """Records may overlap that others wrote: then what goes may be another's as well."""
        self._runs, self._has_overlaps = {4: [], 6: []}, False
        for span in self.spans():
            self._has_overlaps |= _join(self._runs[span.version], span.low, span.high)


def _join(runs: list[Run], low: int, high: int) -> bool:
    """Add a range to runs; whether it shares addresses with some of them."""
    first = bisect_left(runs, low - 1, key=lambda run: run[1])
    last = bisect_right(runs, high + 1, key=lambda run: run[0])
    met = runs[first:last]
    runs[first:last] = [(min([low, *(a for a, _ in met)]), max([high, *(b for _, b in met)]))]
    return any(a <= high and low <= b for a, b in met)


def _cut(runs: list[Run], low: int, high: int) -> None:
    """Take a range away that is within one run."""
    place = bisect_left(runs, low, key=lambda run: run[1])
    a, b = runs[place]
    runs[place : place + 1] = [(x, y) for x, y in ((a, low - 1), (high + 1, b)) if x <= y]
