"""Where the time of a run went: the span of each operation, its phase, and the longest chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic

from stackr.executor.events import Event, OperationFailed, OperationFinished, PlanStarted
from stackr.planner.plan.graph import longest_path
from stackr.planner.plan.model import Action, Operation, Plan

__all__ = ["Phase", "Profile", "Span", "phase_of"]


class Phase(Enum):
    """What kind of work an operation is; of one resource they follow in this order."""

    PULL = "pull"
    BUILD = "build"
    REMOVE = "remove"
    CREATE = "create"
    START = "start"
    READY = "ready"


_PHASES: Mapping[Action, Phase] = {
    Action.PULL_IMAGE: Phase.PULL,
    Action.BUILD_IMAGE: Phase.BUILD,
    Action.PUSH_IMAGE: Phase.PULL,
    Action.STOP_CONTAINER: Phase.REMOVE,
    Action.KILL_CONTAINER: Phase.REMOVE,
    Action.REMOVE_CONTAINER: Phase.REMOVE,
    Action.REMOVE_NETWORK: Phase.REMOVE,
    Action.REMOVE_VOLUME: Phase.REMOVE,
    Action.REMOVE_IMAGE: Phase.REMOVE,
    Action.DISCONNECT_NETWORK: Phase.REMOVE,
    Action.DRAIN_CONTAINER: Phase.REMOVE,
    Action.START_CONTAINER: Phase.START,
    Action.RESTART_CONTAINER: Phase.START,
    Action.PAUSE_CONTAINER: Phase.START,
    Action.UNPAUSE_CONTAINER: Phase.START,
    Action.RUN_HOOK: Phase.START,
    Action.RUN_STEP: Phase.START,
    Action.PROMOTE_CONTAINER: Phase.START,
    Action.WAIT_FOR: Phase.READY,
    Action.MONITOR_CONTAINER: Phase.READY,
    Action.CHECK_UPDATE: Phase.READY,
    Action.DELAY: Phase.READY,
}


def phase_of(action: Action) -> Phase:
    return _PHASES.get(action, Phase.CREATE)


@dataclass(frozen=True, slots=True)
class Span:
    """One operation. start_s, end_s: since the profile began. waited_s: how long it could have
    run before, after what it depends on had ended."""

    operation: Operation
    start_s: float
    end_s: float
    waited_s: float = 0

    @property
    def phase(self) -> Phase:
        return phase_of(self.operation.action)

    @property
    def took_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(slots=True)
class _Run:
    """One plan; spans by operation."""

    plan: Plan
    start_s: float
    spans: dict[int, Span] = field(default_factory=dict)


class Profile:
    """A sink of the executor that keeps when each operation ran; of several plans in turn."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._runs: list[_Run] = []

    def __call__(self, event: Event, /) -> None:
        match event:
            case PlanStarted(plan=plan):
                self._runs.append(_Run(plan, self._clock() - self._began))
            case OperationFinished() | OperationFailed():
                self._end(self._runs[-1], event)
            case _:
                return

    def _end(self, run: _Run, event: OperationFinished | OperationFailed) -> None:
        operation = event.operation
        end_s = run.start_s + event.at_s
        start_s = end_s - event.took_s
        needs = [run.spans[need].end_s for need in operation.depends_on if need in run.spans]
        free_s = max(needs, default=run.start_s)
        run.spans[operation.id] = Span(operation, start_s, end_s, max(start_s - free_s, 0))

    @property
    def prepared_s(self) -> float:
        """How long it took until the first operation could start."""
        return self._runs[0].start_s if self._runs else self.elapsed_s

    @property
    def elapsed_s(self) -> float:
        """Until the last operation ended; until now where there was none."""
        ends = [span.end_s for span in self.spans()]
        return max(ends) if ends else self._clock() - self._began

    def spans(self) -> list[Span]:
        """Every operation that ran, by its start."""
        spans = [span for run in self._runs for span in run.spans.values()]
        return sorted(spans, key=lambda span: (span.start_s, span.operation.id))

    def phases(self) -> dict[Phase, float]:
        """For how long anything of each phase went on, in seconds; they overlap."""
        return {phase: _covered([s for s in self.spans() if s.phase is phase]) for phase in Phase}

    def longest_chain(self) -> list[Span]:
        """What the end had to wait for, step by step: a shorter one of these is a shorter run."""
        chain: list[Span] = []
        for run in self._runs:
            chain += _chain(run)
        return chain


def _chain(run: _Run) -> list[Span]:
    """The path to what ended last: a step costs what it took, and what it waited before that."""
    costs = {id: span.waited_s + span.took_s for id, span in run.spans.items()}
    path = longest_path(run.plan.graph.subgraph(costs), costs)
    return [run.spans[id] for id in path]


def _covered(spans: list[Span]) -> float:
    """The length of the union of their times."""
    total = end_s = 0.0
    for span in spans:
        total += max(span.end_s - max(span.start_s, end_s), 0)
        end_s = max(end_s, span.end_s)
    return total
