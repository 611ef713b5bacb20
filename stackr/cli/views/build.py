"""How far a build is, as lines: `[build 2/5] RUN make`, then its output, CACHED, or its
time, and the size of its layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackr.cli.views.units import seconds, size
from stackr.runtime.image_build import BuildProgress
from stackr.text import visible

__all__ = ["BuildLines", "as_left", "layer_size", "step_label"]


def step_label(progress: BuildProgress) -> str:
    """`[build 2/5]`; `[2/5]` of a stage without a name."""
    stage = f"{progress.stage} " if progress.stage and not progress.stage.isdecimal() else ""
    total = f"/{progress.total}" if progress.total else ""
    return f"[{stage}{progress.number}{total}]"


def layer_size(progress: BuildProgress) -> str:
    """`, 1.2MB`, or "" of a step that made no layer."""
    return f", {size(progress.size_bytes)}" if progress.size_bytes else ""


class BuildLines:
    """Of one build. What a program writes is shown in whole lines."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._begun: dict[tuple[str, int], str] = {}

    def take(self, progress: BuildProgress) -> Iterator[str]:
        match progress.kind:
            case "step":
                yield self._line(progress, progress.text)
            case "output":
                yield from self._output(progress)
            case "sent":
                yield f" {self._image}  context: {size(progress.size_bytes)} sent"
            case "cached":
                yield self._line(progress, f"CACHED{layer_size(progress)}")
            case "done":
                yield from self._rest(progress)
                yield self._line(
                    progress, f"DONE {seconds(progress.seconds)}{layer_size(progress)}"
                )
            case "notice":
                yield f" {self._image}  {visible(progress.text, one_line=True)}"
            case _:
                return

    def _output(self, progress: BuildProgress) -> Iterator[str]:
        key = (progress.stage, progress.number)
        *whole, rest = (self._begun.get(key, "") + progress.text).split("\n")
        self._begun[key] = rest
        yield from (self._line(progress, f"| {as_left(line)}") for line in whole)

    def _rest(self, progress: BuildProgress) -> Iterator[str]:
        if rest := self._begun.pop((progress.stage, progress.number), ""):
            yield self._line(progress, f"| {as_left(rest)}")

    def _line(self, progress: BuildProgress, text: str) -> str:
        return f" {self._image} {step_label(progress)} {visible(text.rstrip(), one_line=True)}"


_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Colours and movements of the cursor. Source: ECMA-48, 5.4."""


def as_left(line: str) -> str:
    """What a program's line is in the end, where it wrote over it to show how far it is."""
    return _CONTROL.sub("", line).rstrip("\r").rpartition("\r")[2]
