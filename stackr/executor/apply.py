"""Carry out a plan: on an engine of containers, or on one that runs replicas itself."""

from __future__ import annotations

from stackr.executor.conditions import Watch
from stackr.executor.events import EventSink
from stackr.executor.operations import BeforeStart, ContainerCalls
from stackr.executor.outcome import Outcome
from stackr.executor.walk import Limits, walk
from stackr.planner.plan.model import Plan
from stackr.runtime.protocol import Runtime

__all__ = ["apply"]


async def apply(
    plan: Plan,
    runtime: Runtime,
    sink: EventSink,
    *,
    limits: Limits | None = None,
    outcome: Outcome | None = None,
    before_start: BeforeStart | None = None,
) -> Outcome:
    """As `walk`, on an engine of containers. before_start: is told of each before it starts."""
    calls = ContainerCalls(runtime, Watch(runtime, plan.project))
    if before_start is not None:
        calls.before_start = before_start
    return await walk(plan, calls, sink, limits=limits, outcome=outcome)
