"""What a pull tells while it goes on, in the words of Docker's `/images/create` stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stackr.registry.digest import short_id

__all__ = ["LayerProgress", "PullProgress", "Report"]

_INTERVAL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One line: `id` is a layer's short digest or the tag; the two figures are bytes."""

    status: str
    id: str | None = None
    current: int | None = None
    total: int | None = None


Report = Callable[[PullProgress], None]


class LayerProgress:
    """The lines of one layer; figures come at most ten times a second."""

    def __init__(self, report: Report, digest: str, total: int) -> None:
        self._report = report
        self._id = short_id(digest)
        self._total = total
        self._due = 0.0

    def say(self, status: str) -> None:
        self._report(PullProgress(status, self._id))

    def downloaded(self, current: int) -> None:
        self._figure("Downloading", current)

    def extracted(self, current: int) -> None:
        self._figure("Extracting", current)

    def _figure(self, status: str, current: int) -> None:
        now = time.monotonic()
        if now >= self._due or current >= self._total:
            self._due = now + _INTERVAL_S
            self._report(PullProgress(status, self._id, current, self._total))
