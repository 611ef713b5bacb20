"""A build's events as the lines of dockerd's classic builder.

Stages that are built side by side are shown one after the other, in the order of the Dockerfile:
what a later one has to say waits until the earlier ones are done.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from stackr.registry.digest import short_id
from stackr.runtime.engine.api.image_progress import progress_line
from stackr.runtime.engine.build.progress import (
    BuildEvent,
    Built,
    Notice,
    Output,
    Pulling,
    StageDone,
    StepContainer,
    StepDone,
    StepStarted,
)

__all__ = ["ClassicLines"]

_RED = "\x1b[91m"
_PLAIN = "\x1b[0m"


class ClassicLines:
    """write: takes the bytes of whole lines. quiet: the image's ID alone."""

    def __init__(self, write: Callable[[bytes], None], *, quiet: bool) -> None:
        self._write = write
        self._quiet = quiet
        self._order: list[str] = []
        self._first: dict[str, int] = {}
        self._held: dict[str, list[dict[str, Any]]] = {}
        self._done: set[str] = set()

    def put(self, event: BuildEvent) -> None:
        match event:
            case Built():
                self.flush()
                self._built(event)
            case Notice():
                if not self._quiet:
                    self._send([{"stream": f"{event.text}\n"}])
            case StageDone():
                self._done.add(event.stage)
                self._go_on()
            case StepStarted() | StepContainer() | StepDone() | Output() | Pulling():
                self._first.setdefault(event.stage, event.number)
                self._held.setdefault(event.stage, []).extend(_lines(event))
                self._go_on()

    def flush(self) -> None:
        """Show what is held back: the build is over."""
        for stage in sorted(self._held, key=self._first.__getitem__):
            self._show(stage)

    def _go_on(self) -> None:
        """Show the first stage that is not done, and those before it."""
        for stage in sorted(self._first, key=self._first.__getitem__):
            self._show(stage)
            if stage not in self._done:
                return

    def _show(self, stage: str) -> None:
        lines, self._held[stage] = self._held.get(stage, []), []
        if not self._quiet:
            self._send(lines)

    def _built(self, event: Built) -> None:
        if self._quiet:
            self._send([{"stream": f"{event.image_id}\n"}])
            return
        self._send([{"aux": {"ID": event.image_id}}])
        self._send([{"stream": f"Successfully built {short_id(event.image_id)}\n"}])
        tags = (tag if _has_tag(tag) else f"{tag}:latest" for tag in event.tags)
        self._send([{"stream": f"Successfully tagged {tag}\n"} for tag in tags])

    def _send(self, lines: list[dict[str, Any]]) -> None:
        if lines:
            self._write(b"".join(json.dumps(line).encode() + b"\r\n" for line in lines))


def _has_tag(name: str) -> bool:
    return ":" in name.rpartition("/")[2]


def _lines(
    event: StepStarted | StepContainer | StepDone | Output | Pulling,
) -> list[dict[str, Any]]:
    match event:
        case StepStarted():
            text = f"Step {event.number}/{event.total} : {event.text}"
            return [{"stream": text}, {"stream": "\n"}]
        case StepContainer():
            what = "Removed intermediate container" if event.is_gone else "Running in"
            return [{"stream": f" ---> {what} {short_id(event.id)}\n"}]
        case StepDone():
            cached = (
                [{"stream": " ---> Using cache\n"}] if event.cached and event.number > 1 else []
            )
            return [*cached, {"stream": f" ---> {short_id(event.state)}\n"}]
        case Output():
            text = event.data.decode(errors="replace")
            return [{"stream": text if event.stream == 1 else f"{_RED}{text}{_PLAIN}"}]
        case Pulling():
            return [progress_line(event.progress)]
