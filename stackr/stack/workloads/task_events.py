"""What happens to a stack's replicas, told as an engine of containers tells it.

A cluster has events of services, and none of tasks: those are looked at again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping

from stackr.runtime import labels
from stackr.runtime.types import EngineEvent
from stackr.runtime.workloads import ENDED_STATES, TaskState, Workloads
from stackr.stack.workloads.tasks import StackTask, list_tasks, replica_name

__all__ = ["changes_between", "task_events"]

_EVERY_S = 1.0


async def task_events(
    cluster: Workloads, project: str, *, every_s: float = _EVERY_S
) -> AsyncIterator[EngineEvent]:
    """From now on. The first one has the type "", and says that nothing is missed."""
    known = await _by_id(cluster, project)
    yield EngineEvent("", "", "")
    while True:
        await asyncio.sleep(every_s)
        now = await _by_id(cluster, project)
        for event in changes_between(known, now, project, time.time_ns()):
            yield event
        known = now


async def _by_id(cluster: Workloads, project: str) -> dict[str, StackTask]:
    return {each.task.id: each for each in await list_tasks(cluster, project, all=True)}


def changes_between(
    before: Mapping[str, StackTask], after: Mapping[str, StackTask], project: str, now_ns: int
) -> Iterator[EngineEvent]:
    """Tasks by their IDs. Pure. One that was seen for the first time when it ran has started, too.

    Actions are create, start, die and destroy; update for what is about to start, or cannot.
    """
    for id, each in after.items():
        was = before.get(id)
        if was is None:
            yield _event("create", each, project, now_ns)
        if was is None or _shown(was.task) != _shown(each.task):
            action = _action(each.task)
            if was is not None or action != "update":
                yield _event(action, each, project, now_ns)
    for id, each in before.items():
        if id not in after:
            yield _event("destroy", each, project, now_ns)


def _shown(task: TaskState) -> tuple[str, str, str]:
    return (task.state, task.error, task.node_id)


def _action(task: TaskState) -> str:
    if task.state == "running":
        return "start"
    return "die" if task.state in ENDED_STATES else "update"


def _event(action: str, each: StackTask, project: str, now_ns: int) -> EngineEvent:
    task = each.task
    attributes = {
        labels.PROJECT: project,
        labels.SERVICE: each.service,
        "name": replica_name(each.service, task.slot, task.node),
        **({"exitCode": str(task.exit_code)} if task.exit_code is not None else {}),
    }
    return EngineEvent("container", action, task.container_id or task.id, attributes, now_ns)
