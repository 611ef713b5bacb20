"""The build history of an image, joined with the sizes of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stackr.runtime.engine.image.model import HistoryEntry, Image

__all__ = ["history_of"]


def history_of(images: Sequence[Image], layer_sizes: Sequence[int]) -> list[HistoryEntry]:
    """The newest step first.

    images: the image, and below it those that it was made on top of, one step each. layer_sizes: in
    bytes, base layer first; steps that made no layer have size 0. An image without a history gets
    one step per layer.
    """
    sizes = iter(layer_sizes)
    recorded = images[0].history or tuple({} for _ in layer_sizes)
    steps = [
        HistoryEntry(
            id="<missing>",
            created=_text(step, "created"),
            created_by=_text(step, "created_by"),
            comment=_text(step, "comment"),
            size_bytes=0 if step.get("empty_layer") else next(sizes, 0),
        )
        for step in recorded
    ]
    steps.reverse()
    for number, image in enumerate(images[: len(steps)]):
        steps[number] = replace(steps[number], id=image.id, tags=image.repo_tags)
    return steps


def _text(step: dict[str, Any], key: str) -> str:
    value = step.get(key)
    return value if isinstance(value, str) else ""
