"""What came of work on a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stackr.errors import StackrError
from stackr.planner.plan.model import Plan
from stackr.stack.failure import FailureReport

__all__ = ["UNDONE", "ChangeFailed", "Completed", "Result", "Status"]

UNDONE = 4
"""The exit code of a change that failed and was taken back: atomic, or an update's rollback."""

Status = Literal["applied", "failed", "undone", "rolled back"]


@dataclass(frozen=True, slots=True)
class Result:
    """plan: what was to be done, which may be nothing. exit_code: 0 where all of it is done.

    status: "undone" and "rolled back" say that it failed, and that what was before is back.
    """

    plan: Plan
    status: Status
    exit_code: int = 0

    @property
    def is_success(self) -> bool:
        return self.exit_code == 0


class ChangeFailed(StackrError):
    """What was asked for is not done, or not all of it; `result` and `report` say how far it is.

    report: each root cause, with the container's own last words; None where no operation failed.
    """

    def __init__(self, result: Result, report: FailureReport | None) -> None:
        causes = report.causes if report is not None else ()
        texts = [f"{cause.subject}{cause.message}" for cause in causes]
        super().__init__("; ".join(texts) or f"{result.plan.project}: {result.status}")
        self.result = result
        self.report = report


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended in a container of its own. stdout, stderr: all that it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    container: str
