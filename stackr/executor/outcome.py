"""What became of a plan's operations."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackr.errors import StackrError
from stackr.planner.plan.model import Operation, Plan

__all__ = ["Failure", "Outcome", "Skipped"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A root cause."""

    operation: Operation
    error: StackrError


@dataclass(frozen=True, slots=True)
class Skipped:
    """because: the failed operations that it depends on, directly or not."""

    operation: Operation
    because: tuple[Operation, ...]


@dataclass(slots=True)
class Outcome:
    """What became of each operation of a plan, in the order in which it ended.

    interrupted: of the cancelled, those that had begun; the engine may go on with them.
    """

    plan: Plan
    done: list[Operation] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    cancelled: list[Operation] = field(default_factory=list)
    interrupted: list[Operation] = field(default_factory=list)
    elapsed_s: float = 0

    @property
    def is_success(self) -> bool:
        """All is done; a failed operation that is optional does not count."""
        return not self.cancelled and all(f.operation.is_optional for f in self.failed)
