"""What a pull or a push tells while it goes on, in the words of Docker's streams of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stackr.registry.digest import short_id

__all__ = ["ImageProgress", "LayerProgress", "Report"]

_INTERVAL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """One line: `id` is a layer's short digest or the tag; the two figures are bytes.

    pushed: the digest of a manifest and its bytes, with the tag as `id`, of the line that ends a
    push. is_stream: the status is text as a program writes it.
    """

    status: str
    id: str | None = None
    current: int | None = None
    total: int | None = None
    pushed: tuple[str, int] | None = None
    is_stream: bool = False


Report = Callable[[ImageProgress], None]


class LayerProgress:
    """The lines of one layer; figures come at most ten times a second."""

    def __init__(self, report: Report, digest: str, total: int) -> None:
        self._report = report
        self._id = short_id(digest)
        self._total = total
        self._due = 0.0

    def say(self, status: str) -> None:
        self._report(ImageProgress(status, self._id))

    def downloaded(self, current: int) -> None:
        self._figure("Downloading", current)

    def extracted(self, current: int) -> None:
        self._figure("Extracting", current)

    def loaded(self, current: int) -> None:
        self._figure("Loading layer", current)

    def pushed(self, current: int) -> None:
        self._figure("Pushing", current)

    def _figure(self, status: str, current: int) -> None:
        now = time.monotonic()
        if now >= self._due or current >= self._total:
            self._due = now + _INTERVAL_S
            self._report(ImageProgress(status, self._id, current, self._total))
