"""Progress as plain lines: one per change of state, nothing twice; for files, pipes and CI."""

from __future__ import annotations

from stackr.cli.views.build import BuildLines
from stackr.cli.views.output import Output
from stackr.cli.views.view import doing, done, resource_label
from stackr.executor.events import (
    Event,
    OperationFailed,
    OperationFinished,
    OperationProgress,
    OperationSkipped,
    OperationStarted,
)
from stackr.planner.plan.model import Action

__all__ = ["PlainView"]


class PlainView:
    """Writes ` Container demo-web-1  Created` and the like to `output`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: dict[str, str] = {}
        self._builds: dict[str, BuildLines] = {}

    def __call__(self, event: Event, /) -> None:
        match event:
            case OperationStarted(operation=operation):
                self._state(event, doing(operation))
            case OperationProgress(operation=operation, build=build) if build is not None:
                name = operation.resource.name
                for line in self._builds.setdefault(name, BuildLines(name)).take(build):
                    self._output.line(line)
            case OperationFinished(operation=operation, detail=detail):
                self._state(event, done(operation, detail))
            case OperationFailed(operation=operation):
                self._state(event, "Error", f": {event.error.message}")
            case OperationSkipped(operation=operation, because=because) if because:
                if (
                    not operation.is_optional
                    or resource_label(operation.resource) not in self._last
                ):
                    self._state(event, "Skipped")
            case _:
                return

    def message(self, text: str) -> None:
        self._output.line(text)

    def warning(self, text: str) -> None:
        self._output.line(f"warning: {text}")

    def log_output(self, output: Output) -> Output:
        return output

    def close(self) -> None:
        return

    def _state(
        self,
        event: OperationStarted | OperationFinished | OperationFailed | OperationSkipped,
        word: str,
        rest: str = "",
    ) -> None:
        operation = event.operation
        label = resource_label(operation.resource)
        if operation.action is Action.RENAME_CONTAINER or self._last.get(label) == word:
            return
        self._last[label] = word
        self._output.line(f" {label}  {word}{rest}")
