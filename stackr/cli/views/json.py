"""Progress for programs: one JSON object a line on stdout. `docs/cli.md` documents the fields.

Each object has `event`; those of an operation name it by `id`, `action` and `resource`. Times are
seconds since the plan started.
"""

from __future__ import annotations

import io
import json
from typing import Any

from stackr.cli.views.output import Output
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

__all__ = ["JsonLines", "JsonView", "event_json"]


class JsonView:
    """Writes events to `output` as JSON lines."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __call__(self, event: Event, /) -> None:
        self._write(event_json(event))

    def message(self, text: str) -> None:
        self._write({"event": "message", "text": text})

    def warning(self, text: str) -> None:
        self._write({"event": "warning", "text": text})

    def log_output(self, output: Output) -> Output:
        return Output(JsonLines(self._output), False, False)

    def close(self) -> None:
        return

    def _write(self, value: dict[str, Any]) -> None:
        self._output.line(json.dumps(value))


class JsonLines(io.StringIO):
    """A text stream whose every line becomes a `log` event."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._target = output

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._target.line(json.dumps({"event": "log", "text": line}))
        return len(text)


def event_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object."""
    match event:
        case PlanStarted(plan=plan):
            return {"event": "plan_started", "plan": plan.to_json()}
        case PlanFinished():
            return {
                "event": "plan_finished",
                "at_s": _round(event.at_s),
                "done": event.done,
                "failed": event.failed,
                "skipped": event.skipped,
                "cancelled": event.cancelled,
            }
        case OperationStarted():
            return {"event": "operation_started", **_operation(event.operation, event.at_s)}
        case OperationProgress():
            return {
                "event": "operation_progress",
                **_operation(event.operation, event.at_s),
                "text": event.text,
                "layer": event.layer,
                "current_bytes": event.current,
                "total_bytes": event.total,
                **({"build": _build(event.build)} if event.build is not None else {}),
            }
        case OperationFinished():
            return {
                "event": "operation_finished",
                **_operation(event.operation, event.at_s),
                "took_s": _round(event.took_s),
                "detail": event.detail,
            }
        case OperationFailed():
            return {
                "event": "operation_failed",
                **_operation(event.operation, event.at_s),
                "took_s": _round(event.took_s),
                "error": event.error.message,
                "hint": event.error.hint,
            }
        case OperationSkipped():
            return {
                "event": "operation_skipped",
                **_operation(event.operation, event.at_s),
                "because": [operation.id for operation in event.because],
            }


def _operation(operation: Operation, at_s: float) -> dict[str, Any]:
    described = operation.to_json()
    return {
        "at_s": _round(at_s),
        "id": operation.id,
        "action": described["action"],
        "resource": described["resource"],
    }


def _build(progress: BuildProgress) -> dict[str, Any]:
    return {
        "kind": progress.kind,
        "stage": progress.stage,
        "step": progress.number,
        "steps": progress.total,
        "text": progress.text,
        "line": progress.line,
        "seconds": _round(progress.seconds),
        "size_bytes": progress.size_bytes,
    }


def _round(value: float) -> float:
    return round(value, 6)
