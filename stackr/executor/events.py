"""What happens while a plan runs, as values: every view (terminal, plain, JSON) renders these.

`PlanStarted`, then for each operation `OperationStarted`, any number of `OperationProgress`, and
one of `OperationFinished`, `OperationFailed`, `OperationSkipped`; then `PlanFinished`.
Times are seconds since the plan started, by a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from stackr.errors import StackrError
from stackr.planner.plan.model import Operation, Plan
from stackr.runtime.image_build import BuildProgress

__all__ = [
    "IN_USE",
    "Event",
    "EventSink",
    "OperationFailed",
    "OperationFinished",
    "OperationProgress",
    "OperationSkipped",
    "OperationStarted",
    "PlanFinished",
    "PlanStarted",
]


@dataclass(frozen=True, slots=True)
class PlanStarted:
    plan: Plan


@dataclass(frozen=True, slots=True)
class OperationStarted:
    operation: Operation
    at_s: float


@dataclass(frozen=True, slots=True)
class OperationProgress:
    """A pull's layer (`layer`, bytes `current` of `total`), what a wait sees (`text`), or a build.

    total 0: not known. `text` is the engine's word for a layer's state, or "starting", "healthy".
    """

    operation: Operation
    at_s: float
    text: str = ""
    layer: str = ""
    current: int = 0
    total: int = 0
    build: BuildProgress | None = None


IN_USE = "still in use"
"""How the detail begins of a removal that was not done, as others use the resource."""


@dataclass(frozen=True, slots=True)
class OperationFinished:
    """took_s: how long this operation ran. detail: what came out ("exit code 0"), or ""."""

    operation: Operation
    at_s: float
    took_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class OperationFailed:
    operation: Operation
    at_s: float
    took_s: float
    error: StackrError


@dataclass(frozen=True, slots=True)
class OperationSkipped:
    """because: the operations that failed, or the wait whose dependency need not hold."""

    operation: Operation
    at_s: float
    because: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class PlanFinished:
    """Counts of operations."""

    at_s: float
    done: int
    failed: int
    skipped: int
    cancelled: int


Event: TypeAlias = (
    PlanStarted
    | OperationStarted
    | OperationProgress
    | OperationFinished
    | OperationFailed
    | OperationSkipped
    | PlanFinished
)


class EventSink(Protocol):
    """Takes events as they happen, on the event loop's thread; must return at once."""

    def __call__(self, event: Event, /) -> None: ...
