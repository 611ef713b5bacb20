"""Run a plan: each operation as soon as what it depends on is done, so many at once.

A failed operation skips whatever depends on it, and nothing else; only root causes are failures.
A cancelled run starts nothing more, gives up waits and pulls, and lets short calls end, so that
the next plan finds whole resources.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Protocol

from stackr.errors import Internal, StackrError
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
from stackr.executor.outcome import Failure, Outcome, Skipped
from stackr.executor.updates import pronounce
from stackr.planner.plan.model import Operation, Plan
from stackr.planner.plan.payloads import (
    AwaitWorkload,
    BuildImage,
    Delay,
    DrainContainer,
    Gate,
    MonitorContainer,
    PullImage,
    PushImage,
    RunStep,
    StopContainer,
    WaitFor,
)
from stackr.runtime.image_build import BuildProgress
from stackr.runtime.types import PullProgress

__all__ = ["Calls", "Limits", "Tell", "walk"]

Tell = Callable[[PullProgress | BuildProgress], None]


_WAITS = (WaitFor, AwaitWorkload, MonitorContainer, DrainContainer, Delay, RunStep)
"""They take time, and hold nothing up."""
_TRANSFERS = (PullImage, BuildImage, PushImage)
"""They take long, and can be given up at any time."""


class _Lane(Enum):
    """Operations of one lane wait for each other where its limit is reached."""

    WAIT = "wait"
    PULL = "pull"
    CALL = "call"


def _lane(operation: Operation) -> _Lane:
    if isinstance(operation.payload, _WAITS):
        return _Lane.WAIT
    return _Lane.PULL if isinstance(operation.payload, _TRANSFERS) else _Lane.CALL


@dataclass(frozen=True, slots=True)
class Limits:
    """in_flight: calls at once; waits do not count. pulls: images at once.

    grace_s: how long a cancelled run lets short calls end.
    """

    in_flight: int = 24
    pulls: int = 4
    grace_s: float = 10


class Calls(Protocol):
    """How operations are carried out: what one engine needs for all of a plan's."""

    async def perform(self, operation: Operation, tell: Tell) -> str:
        """Make the operation's call; what came of it in a few words, or "". Raises StackrError."""
        ...

    async def close(self) -> None: ...


async def walk(
    plan: Plan,
    calls: Calls,
    sink: EventSink,
    *,
    limits: Limits | None = None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Run every operation of `plan` by `calls`, which is closed at the end.

    No error is raised for a failed operation; see `Outcome.failed`. When cancelled, this raises
    CancelledError at its end; an `outcome` that was passed in then says what was done.
    """
    result = outcome if outcome is not None else Outcome(plan)
    run = _Run(plan, calls, sink, limits or Limits(), result)
    try:
        await run.complete()
    finally:
        await calls.close()
    return result


class _Run:
    """The state of one run; every method works on the event loop's thread."""

    def __init__(
        self, plan: Plan, calls: Calls, sink: EventSink, limits: Limits, outcome: Outcome
    ) -> None:
        self._graph = plan.graph
        self._calls = calls
        self._sink = sink
        self._limits = limits
        self._outcome = outcome
        self._started_at = monotonic()
        self._missing = dict(self._graph.in_degree)
        self._because: dict[int, set[int]] = defaultdict(set)
        self._failed_replicas: dict[str, set[str]] = defaultdict(set)
        """Of updates under way: service -> the containers that did not make it."""
        self._ready: dict[_Lane, deque[Operation]] = {lane: deque() for lane in _Lane}
        self._tasks: dict[asyncio.Task[None], Operation] = {}
        self._ended: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
        self._room = {
            _Lane.WAIT: len(plan.operations),
            _Lane.PULL: limits.pulls,
            _Lane.CALL: limits.in_flight,
        }

    async def complete(self) -> None:
        self._emit(PlanStarted(self._outcome.plan))
        for id, missing in self._missing.items():
            if not missing:
                self._make_ready(id)
        try:
            self._launch()
            while self._tasks:
                self._collect(await self._ended.get())
                while not self._ended.empty():
                    self._collect(self._ended.get_nowait())
                self._launch()
        except asyncio.CancelledError:
            await self._wind_up()
            raise
        finally:
            self._finish()

    def _operation(self, id: int) -> Operation:
        operation: Operation = self._graph.nodes[id]["operation"]
        return operation

    def _make_ready(self, id: int) -> None:
        operation = self._operation(id)
        self._ready[_lane(operation)].append(operation)

    def _launch(self) -> None:
        """Start what is ready, as far as the limits allow."""
        for lane, ready in self._ready.items():
            while ready and self._room[lane] > 0:
                operation = ready.popleft()
                self._room[lane] -= 1
                task = asyncio.create_task(self._perform(operation))
                self._tasks[task] = operation
                task.add_done_callback(self._ended.put_nowait)

    def _collect(self, task: asyncio.Task[None]) -> None:
        operation = self._tasks.pop(task)
        self._room[_lane(operation)] += 1
        if task.cancelled():
            self._outcome.cancelled.append(operation)
            self._outcome.interrupted.append(operation)
        elif (error := task.exception()) is not None:
            raise error

    async def _perform(self, operation: Operation) -> None:
        start = self._now()
        self._emit(OperationStarted(operation, start))

        def tell(progress: PullProgress | BuildProgress) -> None:
            if isinstance(progress, BuildProgress):
                self._emit(OperationProgress(operation, self._now(), build=progress))
                return
            if not progress.status:
                return  # the end of a push, which the operation's own end tells of
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
            detail = await self._carried_out(operation, tell)
        except StackrError as error:
            self._failed(operation, error, start)
        except OSError as error:
            self._failed(operation, Internal(f"{operation.resource}: {error}"), start)
        else:
            self._outcome.done.append(operation)
            self._emit(OperationFinished(operation, self._now(), self._now() - start, detail))
            self._release(operation, ())

    async def _carried_out(self, operation: Operation, tell: Tell) -> str:
        gate = operation.payload
        if isinstance(gate, Gate):
            return pronounce(gate, self._failed_replicas[gate.service])
        return await self._calls.perform(operation, tell)

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
            for id in self._graph.successors(over.id):
                if not over.is_optional:
                    self._because[id] |= self._left_to_gate(id, over, causes)
                self._missing[id] -= 1
                if self._missing[id]:
                    continue
                if self._because[id]:
                    ended.append((self._operation(id), self._because[id]))
                    self._skip(self._operation(id))
                else:
                    self._make_ready(id)

    def _left_to_gate(self, id: int, over: Operation, causes: set[int]) -> set[int]:
        """The causes that skip operation `id`; a gate decides itself on replicas that failed."""
        gate = self._operation(id).payload
        if not causes or not isinstance(gate, Gate):
            return causes
        if any(self._operation(cause).resource.service != gate.service for cause in causes):
            return causes  # the update did not get to these replicas
        self._failed_replicas[gate.service].add(over.resource.name)
        return set()

    def _skip(self, operation: Operation) -> None:
        because = tuple(self._operation(id) for id in sorted(self._because[operation.id]))
        self._outcome.skipped.append(Skipped(operation, because))
        self._emit(OperationSkipped(operation, self._now(), because))

    async def _wind_up(self) -> None:
        """End a cancelled run: long calls at once, short ones within the grace period."""
        for task, operation in self._tasks.items():
            if isinstance(operation.payload, (*_WAITS, *_TRANSFERS, StopContainer)):
                task.cancel()
        try:
            await asyncio.wait(self._tasks, timeout=self._limits.grace_s) if self._tasks else None
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            for task in tuple(self._tasks):
                self._collect(task)

    def _finish(self) -> None:
        outcome = self._outcome
        ended = {o.id for o in (*outcome.done, *outcome.cancelled)}
        ended |= {f.operation.id for f in outcome.failed}
        ended |= {s.operation.id for s in outcome.skipped}
        outcome.cancelled.extend(o for o in outcome.plan.operations if o.id not in ended)
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
