"""How far a build is, as lines: `[build 2/5] RUN make`, then its output, CACHED, or its time."""

from __future__ import annotations

from collections.abc import Iterator

from stackr.cli.views.units import seconds
from stackr.runtime.image_build import BuildProgress
from stackr.text import visible

__all__ = ["BuildLines", "step_label"]


def step_label(progress: BuildProgress) -> str:
    """`[build 2/5]`; `[2/5]` of a stage without a name."""
    stage = f"{progress.stage} " if progress.stage and not progress.stage.isdecimal() else ""
    total = f"/{progress.total}" if progress.total else ""
    return f"[{stage}{progress.number}{total}]"


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
            case "cached":
                yield self._line(progress, "CACHED")
            case "done":
                yield from self._rest(progress)
                yield self._line(progress, f"DONE {seconds(progress.seconds)}")
            case "notice":
                yield f" {self._image}  {visible(progress.text, one_line=True)}"
            case _:
                return

    def _output(self, progress: BuildProgress) -> Iterator[str]:
        key = (progress.stage, progress.number)
        *whole, rest = (self._begun.get(key, "") + progress.text).split("\n")
        self._begun[key] = rest
        yield from (self._line(progress, f"| {line}") for line in whole)

    def _rest(self, progress: BuildProgress) -> Iterator[str]:
        if rest := self._begun.pop((progress.stage, progress.number), ""):
            yield self._line(progress, f"| {rest}")

    def _line(self, progress: BuildProgress, text: str) -> str:
        return f" {self._image} {step_label(progress)} {visible(text.rstrip(), one_line=True)}"
