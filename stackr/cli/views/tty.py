"""Progress on a terminal: a line per resource, redrawn as events come.

Drawing starts, and rich is imported, with the first operation: a plan with nothing to do costs
neither. Containers' lines are written above what is drawn.
"""

from __future__ import annotations

import io
import time

from stackr.cli.views.build import as_left, layer_size, step_label
from stackr.cli.views.keys import HiddenKeys
from stackr.cli.views.live import LiveRows
from stackr.cli.views.output import Output
from stackr.cli.views.plan_rows import PlanRows
from stackr.cli.views.rows import Row, RowState
from stackr.cli.views.units import size
from stackr.cli.views.view import resource_label
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
from stackr.runtime.image_build import BuildProgress
from stackr.text import visible

__all__ = ["TtyView"]


_CONTEXT = "  context"


class TtyView:
    """Draws the rows of a plan on the terminal `output`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._rows = PlanRows()
        self._live: LiveRows | None = None
        self._keys = HiddenKeys()
        self._project = ""

    def __call__(self, event: Event, /) -> None:
        now = time.monotonic()
        match event:
            case PlanStarted(plan=plan):
                self._project = plan.project
                self._rows = PlanRows(plan)
            case OperationStarted(operation=operation):
                self._draw()
                self._rows.begin(operation, now)
            case OperationProgress():
                self._progress(event, now)
            case OperationFinished(operation=operation, detail=detail):
                self._rows.finish(operation, detail, now)
            case OperationFailed(operation=operation):
                self._rows.fail(operation, "Error", RowState.FAILED, now)
            case OperationSkipped(operation=operation, because=because) if because:
                self._rows.fail(operation, "Skipped", RowState.SKIPPED, now)
            case PlanFinished():
                self._rows.close(now)
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
            self._rows = PlanRows()
            self._keys.stop()

    def write_above(self, output: Output, text: str) -> None:
        """Write whole lines, each ended, above the rows."""
        if self._live is not None:
            self._live.print_above(text)
        else:
            output.stream.write(text)
            output.stream.flush()

    def _above(self, output: Output, text: str) -> None:
        self.write_above(output, f"{output.visible(text)}\n")

    def _draw(self) -> None:
        if self._live is None:
            self._keys.start()
            self._live = LiveRows(self._output, self._rows, self._header)
            self._live.start()

    def _build(self, label: str, image: str, progress: BuildProgress, now: float) -> None:
        """A row for each step that is executed, with the last line of its output."""
        if progress.kind == "notice":
            self.message(f"{image}: {progress.text}")
            return
        if progress.kind in ("sending", "sent"):
            self._context(label, progress, now)
            return
        if not progress.number:
            return
        step = f"  {step_label(progress)}"
        below = self._rows.get(label).below
        text = visible(as_left(progress.text.strip().rpartition("\n")[2]), one_line=True)
        sized = layer_size(progress)
        match progress.kind:
            case "step":
                below[step] = Row(f"{step} {text}")
                below[step].begin("", now)
            case "cached":
                below.setdefault(step, Row(step)).end(f"CACHED{sized}", RowState.DONE, now)
            case "done":
                below.setdefault(step, Row(step)).end(sized[2:], RowState.DONE, now)
            case _ if text and step in below:
                below[step].text = text
            case _:
                return

    def _context(self, label: str, progress: BuildProgress, now: float) -> None:
        below = self._rows.get(label).below
        if _CONTEXT not in below:
            below[_CONTEXT] = Row(_CONTEXT)
            below[_CONTEXT].begin("", now)
        if progress.kind == "sent":
            below[_CONTEXT].end(size(progress.size_bytes), RowState.DONE, now)
        else:
            below[_CONTEXT].text = size(progress.size_bytes)

    def _progress(self, event: OperationProgress, now: float) -> None:
        operation = event.operation
        if event.build is not None:
            self._build(
                resource_label(operation.resource), operation.resource.name, event.build, now
            )
        elif event.layer:
            self._rows.transfer(operation, event.layer, event.text, event.current, event.total, now)
        else:
            self._rows.tell(operation, visible(event.text, one_line=True))

    def _header(self) -> str:
        self._rows.refresh()
        return f"[+] {self._project}: {self._rows.done}/{max(len(self._rows.by_key), 1)}"


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
