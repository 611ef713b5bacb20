"""A build's events as the lines of dockerd's classic builder.

Stages that are built side by side are shown one after the other, in the order of the Dockerfile:
what a later one has to say waits until the earlier ones are done.
"""

from __future__ import annotations

import json
from collections import deque
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
_KEPT_BYTES = 1 << 20


class ClassicLines:
    """write: takes the bytes of whole lines. quiet: the image's ID alone, or the end of what a
    build said that failed.
    """

    def __init__(self, write: Callable[[bytes], None], *, quiet: bool) -> None:
        self._write = write
        self._quiet = quiet
        self._order: list[str] = []
        self._first: dict[str, int] = {}
        self._held: dict[str, list[dict[str, Any]]] = {}
        self._done: set[str] = set()
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0

    def put(self, event: BuildEvent) -> None:
        match event:
            case Built():
                self._show_all()
                self._kept.clear()
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
        """Show what is held back: the build is over. Of a quiet one that is what it kept."""
        self._show_all()
        if self._kept:
            self._write(b"".join(self._kept))
            self._kept.clear()

    def _show_all(self) -> None:
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
        if self._quiet:
            self._keep(lines)
        else:
            self._send(lines)

    def _keep(self, lines: list[dict[str, Any]]) -> None:
        """The oldest make room."""
        for data in map(_encoded, lines):
            self._kept.append(data)
            self._kept_bytes += len(data)
        while self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft())

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
            self._write(b"".join(map(_encoded, lines)))


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\r\n"


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
