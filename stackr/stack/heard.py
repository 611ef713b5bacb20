"""A report that remembers the last failure, for the error that follows."""

from __future__ import annotations

from stackr.stack.events import OperationsFailed, Report, StackEvent
from stackr.stack.failure import FailureReport
from stackr.stack.result import ChangeFailed, Result

__all__ = ["Heard"]


class Heard:
    """Passes everything on to `report`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._failure: FailureReport | None = None

    def __call__(self, event: StackEvent, /) -> None:
        if isinstance(event, OperationsFailed) and not event.report.is_success:
            self._failure = event.report
        self._report(event)

    def checked(self, result: Result) -> Result:
        """Raises ChangeFailed for one that is not all done."""
        if not result.is_success:
            raise ChangeFailed(result, self._failure)
        return result
