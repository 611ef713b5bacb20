"""Any other view, less how far pulls are: that they begin and end is still shown."""

from __future__ import annotations

from stackr.cli.views.output import Output
from stackr.cli.views.view import View
from stackr.executor.events import Event, OperationProgress
from stackr.planner.plan import Action

__all__ = ["QuietPullView"]


class QuietPullView:
    """Passes all on to `view` but the progress of pulls."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.message = view.message
        self.warning = view.warning
        self.close = view.close

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, OperationProgress) and event.operation.action is Action.PULL_IMAGE:
            return
        self._view(event)

    def log_output(self, output: Output) -> Output:
        return self._view.log_output(output)
