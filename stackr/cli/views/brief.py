"""Progress off a terminal in few lines: one for each service that is up, and for each image."""

from __future__ import annotations

import time

from stackr.cli.views.output import Output
from stackr.cli.views.plain import PlainView
from stackr.cli.views.plan_rows import PlanRows
from stackr.cli.views.rows import Row, RowState
from stackr.cli.views.view import resource_label
from stackr.executor.events import (
    Event,
    OperationFailed,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    PlanStarted,
)
from stackr.planner.plan.model import Action, Operation, Resource

__all__ = ["BriefView"]

_UP = (Action.START_CONTAINER, Action.WAIT_FOR, Action.UNPAUSE_CONTAINER)
_IMAGES = (Action.PULL_IMAGE, Action.BUILD_IMAGE)


class BriefView:
    """Writes ` web  healthy in 1.2s`; what fails is told as by `PlainView`, and so are builds."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._plain = PlainView(output)
        self._rows = PlanRows()
        self._replicas: dict[str, set[Resource]] = {}
        self._told: set[str] = set()

    def __call__(self, event: Event, /) -> None:
        now = time.monotonic()
        match event:
            case PlanStarted(plan=plan):
                self._rows, self._replicas = PlanRows(plan), {}
                for each in plan.operations:
                    if each.action in _UP and each.resource.service:
                        self._replicas.setdefault(each.resource.service, set()).add(each.resource)
            case OperationStarted(operation=operation):
                self._rows.begin(operation, now)
            case OperationFinished(operation=operation, detail=detail):
                self._rows.finish(operation, detail, now)
                self._tell(operation, now)
            case OperationFailed() | OperationProgress(build=object()):
                self._plain(event)
            case _:
                return

    def message(self, text: str) -> None:
        self._plain.message(text)

    def warning(self, text: str) -> None:
        self._plain.warning(text)

    def log_output(self, output: Output) -> Output:
        return output

    def close(self) -> None:
        return

    def _tell(self, operation: Operation, now: float) -> None:
        """The state of a service once all of its replicas have it; of an image at once."""
        resource = operation.resource
        if operation.action in _IMAGES:
            row = self._rows.get(resource_label(resource))
            self._output.line(f" {resource.name}  {row.text.lower()} in {row.elapsed(now)}")
            return
        replicas = self._replicas.get(resource.service, set())
        rows = [self._rows.get(resource_label(each)) for each in replicas]
        is_up = bool(rows) and all(row.state is RowState.DONE for row in rows)
        if is_up and resource.service not in self._told:
            self._told.add(resource.service)
            self._output.line(f" {resource.service}{_state(rows, now)}")


def _state(rows: list[Row], now: float) -> str:
    """`  healthy in 1.2s`, ` ×3  started in 0.4s`: of the last one."""
    last = max(rows, key=lambda row: row.ended or 0.0)
    many = f" ×{len(rows)}" if len(rows) > 1 else ""
    return f"{many}  {last.text.lower()} in {last.elapsed(now)}"
