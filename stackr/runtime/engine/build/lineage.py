"""Which steps of the cache a build may take that names images as its sources, as Docker's classic
builder has it: those that one of these images is made of. Without such an image, none. Pure.

Source: moby, daemon/internal/image/cache/cache.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stackr.runtime.engine.build.cache import CacheRecord

__all__ = ["Lineage"]

_History = Sequence[Mapping[str, Any]]


_Step = tuple[object, bool, object]
"""The instruction, whether it has made a layer, and when."""


class Lineage:
    """histories: of the images that were named, as far as they are here."""

    def __init__(self, histories: Sequence[_History]) -> None:
        self._histories = [tuple(map(_step, history)) for history in histories]

    def leads(self, history: _History, created_by: str, record: CacheRecord | None) -> bool:
        """Whether one of the images has these steps, and then this one.

        record: what the step has made; None for one that changes no file.
        """
        made = record.created if record is not None and record.diff_id else None
        path = (*map(_step, history), (created_by, made is not None, made))
        return any(_begins(each, path) for each in self._histories)


def _begins(history: Sequence[_Step], path: Sequence[_Step]) -> bool:
    if len(history) < len(path):
        return False
    pairs = zip(path, history, strict=False)
    return all(a[:2] == b[:2] and a[2] in (None, b[2]) for a, b in pairs)


def _step(entry: Mapping[str, Any]) -> _Step:
    """A step that has no time of its own gets that of its image, which says nothing of it."""
    has_layer = not entry.get("empty_layer")
    return entry.get("created_by"), has_layer, entry.get("created") if has_layer else None
