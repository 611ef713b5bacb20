"""Progress on a terminal: a line per resource, redrawn as events come.

Drawing starts, and rich is imported, with the first operation: a plan with nothing to do costs
neither. Containers' lines are written above what is drawn.
"""

from __future__ import annotations

import io
import time

from stackr.cli.views.build import step_label
from stackr.cli.views.live import LiveRows
from stackr.cli.views.output import Output
from stackr.cli.views.rows import Rows, RowState
from stackr.cli.views.view import doing, done, resource_label
from stackr.executor.events import (
    Event,
    OperationFailed,
    OperationFinished,
    OperationProgress,
    OperationSkipped,
    OperationStarted,
    PlanFinished,
    PlanStarted,
)
from stackr.planner.plan.model import Operation
from stackr.runtime.image_build import BuildProgress
from stackr.text import visible

__all__ = ["TtyView"]


class TtyView:
    """Draws the rows of a plan on the terminal `output`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._rows = Rows()
        self._layers: dict[str, dict[str, tuple[int, int]]] = {}
        self._live: LiveRows | None = None
        self._steps: set[str] = set()
        self._total = 0
        self._project = ""

    def __call__(self, event: Event, /) -> None:
        match event:
            case PlanStarted(plan=plan):
                self._project = plan.project
                self._total = len({operation.resource for operation in plan.operations})
            case OperationStarted(operation=operation):
                self._begin(operation)
            case OperationProgress():
                self._progress(event)
            case OperationFinished(operation=operation, detail=detail):
                self._end(operation, done(operation, detail), RowState.DONE)
            case OperationFailed(operation=operation):
                self._end(operation, "Error", RowState.FAILED)
            case OperationSkipped(operation=operation, because=because) if because:
                self._end(operation, "Skipped", RowState.SKIPPED)
            case PlanFinished():
                self.close()
            case _:
                return

    def message(self, text: str) -> None:
        self._above(self._output, text)

    def warning(self, text: str) -> None:
        self._above(self._output, self._output.paint("warning:", "yellow") + f" {text}")

    def log_output(self, output: Output) -> Output:
        if not output.is_terminal:
            return output
        return Output(_AboveLive(self, output), True, output.colour)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._rows = Rows()
            self._steps = set()

    def write_above(self, output: Output, text: str) -> None:
        """Write whole lines, each ended, above the rows."""
        if self._live is not None:
            self._live.print_above(text)
        else:
            output.stream.write(text)
            output.stream.flush()

    def _above(self, output: Output, text: str) -> None:
        self.write_above(output, f"{visible(text, colours=True)}\n")

    def _begin(self, operation: Operation) -> None:
        if self._live is None:
            self._live = LiveRows(self._output, self._rows, self._header)
            self._live.start()
        label = resource_label(operation.resource)
        self._rows.begin(label, label, doing(operation), time.monotonic())

    def _end(self, operation: Operation, text: str, state: RowState) -> None:
        label = resource_label(operation.resource)
        self._rows.end(label, label, text, state, time.monotonic())

    def _build(self, image: str, progress: BuildProgress) -> None:
        """A row for each step that is executed, with the last line of its output."""
        if progress.kind == "notice":
            self.message(f"{image}: {progress.text}")
            return
        if not progress.number:
            return
        label = f"  {step_label(progress)}"
        key, now = f"{image} {label}", time.monotonic()
        text = visible(progress.text.strip().rpartition("\n")[2], one_line=True)
        match progress.kind:
            case "step":
                instruction = f"{label} {text}"
                self._steps.add(key)
                self._rows.begin(key, instruction, "", now)
            case "cached":
                self._rows.end(key, label, "CACHED", RowState.DONE, now)
            case "done":
                self._rows.end(key, label, "", RowState.DONE, now)
            case _ if text and key in self._rows.by_key:
                self._rows.by_key[key].text = text
            case _:
                return

    def _progress(self, event: OperationProgress) -> None:
        if event.build is not None:
            self._build(event.operation.resource.name, event.build)
            return
        row = self._rows.by_key.get(resource_label(event.operation.resource))
        if row is None:
            return
        if not event.layer:
            detail = visible(event.text, one_line=True)
            row.text = f"{doing(event.operation)} ({detail})" if detail else row.text
            return
        layers = self._layers.setdefault(row.label, {})
        if event.text in _TRANSFERRED:
            before = layers.get(event.layer, (0, 0))
            layers[event.layer] = (before[1] or before[0], before[1])
        elif event.text in ("Downloading", "Pushing"):
            layers[event.layer] = (event.current, max(event.total, event.current))
        else:
            layers.setdefault(event.layer, (0, 0))
        current = sum(layer[0] for layer in layers.values())
        row.transfer(time.monotonic(), current, sum(layer[1] for layer in layers.values()))

    def _header(self) -> str:
        steps = sum(self._rows.by_key[key].state is not RowState.WORKING for key in self._steps)
        return f"[+] {self._project}: {self._rows.finished - steps}/{max(self._total, 1)}"


_TRANSFERRED = frozenset(
    {"Download complete", "Verifying Checksum", "Extracting", "Pull complete", "Already exists"}
)


class _AboveLive(io.StringIO):
    """A stream to the terminal for lines that must not run into the rows."""

    def __init__(self, view: TtyView, output: Output) -> None:
        super().__init__()
        self._view = view
        self._target = output

    def write(self, text: str) -> int:
        self._view.write_above(self._target, text)
        return len(text)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._target.stream.fileno()
