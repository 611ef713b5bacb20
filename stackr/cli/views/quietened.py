"""Any other view, less how far some operations are: that they begin and end is still shown."""

from __future__ import annotations

from collections.abc import Collection

from stackr.cli.views.output import Output
from stackr.cli.views.view import View
from stackr.executor.events import Event, OperationProgress
from stackr.planner.plan.model import Action

__all__ = ["QuietenedView"]


class QuietenedView:
    """Passes all on to `view` but the progress of these actions."""

    def __init__(self, view: View, actions: Collection[Action]) -> None:
        self._view = view
        self._actions = actions
        self.message = view.message
        self.warning = view.warning
        self.close = view.close

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, OperationProgress) and event.operation.action in self._actions:
            return
        self._view(event)

    def log_output(self, output: Output) -> Output:
        return self._view.log_output(output)
