"""Run a plan: each operation as soon as what it depends on is done, so many at once.

A failed operation skips whatever depends on it, and nothing else; only root causes are failures.
A cancelled run starts nothing more, gives up waits and pulls, and lets short calls end, so that
the next plan finds whole resources.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from time import monotonic

from stackr.errors import Internal, StackrError
from stackr.executor.conditions import Watch
from stackr.executor.events import (
    Event,
    EventSink,
    OperationFailed,
    OperationFinished,
    OperationProgress,
    OperationSkipped,
    OperationStarted,
    PlanFinished,
    PlanStarted,
)
from stackr.executor.operations import Context, perform
from stackr.planner.payloads import (
    Delay,
    DrainContainer,
    Gate,
    MonitorContainer,
    PullImage,
    StopContainer,
    WaitFor,
)
from stackr.planner.plan import Operation, Plan
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import PullProgress

__all__ = ["Failure", "Limits", "Outcome", "Skipped", "apply"]


_WAITS = (WaitFor, MonitorContainer, DrainContainer, Delay)
"""They take time, and hold nothing up."""


@dataclass(frozen=True, slots=True)
class Limits:
    """in_flight: calls at once; waits do not count. pulls: images at once.

    grace_s: how long a cancelled run lets short calls end.
    """

    in_flight: int = 24
    pulls: int = 4
    grace_s: float = 10


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
    """What became of each operation of a plan, in the order in which it ended."""

    plan: Plan
    done: list[Operation] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    cancelled: list[Operation] = field(default_factory=list)
    elapsed_s: float = 0

    @property
    def is_success(self) -> bool:
        """All is done; a failed operation that is optional does not count."""
        return not self.cancelled and all(f.operation.is_optional for f in self.failed)


async def apply(
    plan: Plan,
    runtime: Runtime,
    sink: EventSink,
    *,
    limits: Limits | None = None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Run every operation of `plan`, and return what became of each.

    No error is raised for a failed operation; see `Outcome.failed`. When cancelled, this raises
    CancelledError at its end; an `outcome` that was passed in then says what was done.
    """
    result = outcome if outcome is not None else Outcome(plan)
    watch = Watch(runtime, plan.project)
    run = _Run(plan, Context(runtime, watch), sink, limits or Limits(), result)
    try:
        await run.complete()
    finally:
        await watch.close()
    return result


class _Run:
    """The state of one run; every method works on the event loop's thread."""

    def __init__(
        self, plan: Plan, context: Context, sink: EventSink, limits: Limits, outcome: Outcome
    ) -> None:
        self._operations = {operation.id: operation for operation in plan.operations}
        self._context = context
        self._sink = sink
        self._limits = limits
        self._outcome = outcome
        self._started_at = monotonic()
        self._missing = {o.id: len(set(o.depends_on)) for o in plan.operations}
        self._dependents: dict[int, list[int]] = defaultdict(list)
        self._because: dict[int, set[int]] = defaultdict(set)
        self._ready: deque[int] = deque()
        self._tasks: dict[asyncio.Task[None], Operation] = {}
        self._busy = 0
        self._pulls = 0
        for operation in plan.operations:
            for need in set(operation.depends_on):
                self._dependents[need].append(operation.id)

    async def complete(self) -> None:
        self._emit(PlanStarted(self._outcome.plan))
        self._ready.extend(id for id, missing in self._missing.items() if not missing)
        try:
            self._launch()
            while self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._collect()
                self._launch()
        except asyncio.CancelledError:
            await self._wind_up()
            raise
        finally:
            self._finish()

    def _launch(self) -> None:
        """Start what is ready, as far as the limits allow."""
        later: deque[int] = deque()
        while self._ready:
            operation = self._operations[self._ready.popleft()]
            if not self._has_room(operation):
                later.append(operation.id)
                continue
            self._count(operation, +1)
            self._tasks[asyncio.create_task(self._perform(operation))] = operation
        self._ready = later

    def _has_room(self, operation: Operation) -> bool:
        if isinstance(operation.payload, _WAITS):
            return True
        if isinstance(operation.payload, PullImage):
            return self._pulls < self._limits.pulls
        return self._busy < self._limits.in_flight

    def _count(self, operation: Operation, step: int) -> None:
        if isinstance(operation.payload, PullImage):
            self._pulls += step
        elif not isinstance(operation.payload, _WAITS):
            self._busy += step

    def _collect(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            operation = self._tasks.pop(task)
            self._count(operation, -1)
            if task.cancelled():
                self._outcome.cancelled.append(operation)
            elif (error := task.exception()) is not None:
                raise error

    async def _perform(self, operation: Operation) -> None:
        start = self._now()
        self._emit(OperationStarted(operation, start))

        def tell(progress: PullProgress) -> None:
            self._emit(
                OperationProgress(
                    operation,
                    self._now(),
                    text=progress.status,
                    layer=progress.layer,
                    current=progress.current,
                    total=progress.total,
                )
            )

        try:
            detail = await perform(operation, self._context, tell)
        except StackrError as error:
            self._failed(operation, error, start)
        except OSError as error:
            self._failed(operation, Internal(f"{operation.resource}: {error}"), start)
        else:
            self._outcome.done.append(operation)
            self._emit(OperationFinished(operation, self._now(), self._now() - start, detail))
            self._release(operation, ())

    def _failed(self, operation: Operation, error: StackrError, start: float) -> None:
        self._outcome.failed.append(Failure(operation, error))
        self._emit(OperationFailed(operation, self._now(), self._now() - start, error))
        self._release(operation, (operation.id,))

    def _release(self, operation: Operation, because: tuple[int, ...] | set[int]) -> None:
        """Tell dependents that `operation` ended; those that miss nothing else run, or are skipped.

        because: the root causes that keep it from being done; empty if it is.
        """
        ended: deque[tuple[Operation, set[int]]] = deque([(operation, set(because))])
        while ended:
            over, causes = ended.popleft()
            for id in self._dependents[over.id]:
                if isinstance(gate := self._operations[id].payload, Gate):
                    self._tell_gate(gate, over, causes)
                elif not over.is_optional:
                    self._because[id] |= causes
                self._missing[id] -= 1
                if self._missing[id]:
                    continue
                if self._because[id]:
                    ended.append((self._operations[id], self._because[id]))
                    self._skip(self._operations[id])
                else:
                    self._ready.append(id)

    def _tell_gate(self, gate: Gate, over: Operation, causes: set[int]) -> None:
        """A gate is reached however an update went; it decides."""
        if causes and not over.is_optional:
            failed = self._context.failed_replicas.setdefault(gate.service, set())
            failed.add(over.resource.name)

    def _skip(self, operation: Operation) -> None:
        because = tuple(self._operations[id] for id in sorted(self._because[operation.id]))
        self._outcome.skipped.append(Skipped(operation, because))
        self._emit(OperationSkipped(operation, self._now(), because))

    async def _wind_up(self) -> None:
        """End a cancelled run: long calls at once, short ones within the grace period."""
        for task, operation in self._tasks.items():
            if isinstance(operation.payload, (*_WAITS, PullImage, StopContainer)):
                task.cancel()
        try:
            await asyncio.wait(self._tasks, timeout=self._limits.grace_s) if self._tasks else None
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            self._collect()

    def _finish(self) -> None:
        outcome = self._outcome
        ended = {o.id for o in (*outcome.done, *outcome.cancelled)}
        ended |= {f.operation.id for f in outcome.failed}
        ended |= {s.operation.id for s in outcome.skipped}
        outcome.cancelled.extend(o for id, o in self._operations.items() if id not in ended)
        outcome.elapsed_s = self._now()
        self._emit(
            PlanFinished(
                outcome.elapsed_s,
                done=len(outcome.done),
                failed=len(outcome.failed),
                skipped=len(outcome.skipped),
                cancelled=len(outcome.cancelled),
            )
        )

    def _now(self) -> float:
        return monotonic() - self._started_at

    def _emit(self, event: Event) -> None:
        self._sink(event)
