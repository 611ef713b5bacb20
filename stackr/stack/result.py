"""What came of work on a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stackr.planner.plan import Plan

__all__ = ["Result", "Status"]

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
