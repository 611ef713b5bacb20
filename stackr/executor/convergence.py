"""When a service of a cluster is where it shall be: by its tasks of the newest spec. Pure.

An engine that runs replicas itself says of an update that it has begun, not that it has worked.
What tells is the tasks: those made of the spec as it is now run, in their full number, and no
others do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stackr.runtime.workloads import (
    ENDED_STATES,
    FAILED_STATES,
    TaskState,
    WorkloadStatus,
)

__all__ = ["Verdict", "failed_tasks", "judge", "last_failure"]

_MOST_FAILURES = 3
"""Of one replica, after which its service is given up: engines keep no more than some five."""
_STEADY_S = 0.5
"""For how long replicas have to run: many that cannot work end before that."""
_PATIENCE_S = 10.0
"""For how long a replica may have no place: a node may be about to come."""
_SETTLED_S = 1.0
"""For how long replicas that have ended and are not replaced must be seen so."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """ready: it is there. error: it will not come there. Neither: wait on. text: what is seen.

    is_taken_back: the engine itself has brought the former spec back.
    steady_s: it is so once it has been seen so for this time, without a change.
    """

    ready: bool = False
    error: str = ""
    text: str = ""
    steady_s: float = 0
    is_taken_back: bool = False


def judge(status: WorkloadStatus, past: Collection[str] = ()) -> Verdict:
    """Where a service is. past: IDs of tasks that had failed before: they are not counted again."""
    current = [task for task in status.tasks if task.is_current]
    if (stopped := _stopped(status, current)) is not None:
        return stopped
    seen = _job(status) if status.is_job else _service(status, current)
    return seen if seen.ready else _hopeless(current, past) or seen


def failed_tasks(status: WorkloadStatus) -> frozenset[str]:
    """The IDs of the tasks that have failed so far."""
    return frozenset(task.id for task in status.tasks if task.state in FAILED_STATES)


def last_failure(tasks: Iterable[TaskState]) -> TaskState | None:
    """The newest of the tasks that failed, those of the newest spec before others."""
    failed = [task for task in tasks if task.state in FAILED_STATES]
    return max(failed, key=lambda task: (task.is_current, task.at), default=None)


def _stopped(status: WorkloadStatus, current: list[TaskState]) -> Verdict | None:
    """What the engine itself says of an update that did not work."""
    why = _why(status.tasks) or _said(status)
    match status.update.state:
        case "paused":
            return Verdict(error=f"its update stopped{_why(current) or why}")
        case "rollback_paused":
            return Verdict(error=f"its rollback stopped{why}")
        case "rollback_started":
            return Verdict(text="rolling back")
        case "rollback_completed":
            return Verdict(error=f"the engine has rolled it back{why}", is_taken_back=True)
        case _:
            return None


def _service(status: WorkloadStatus, current: list[TaskState]) -> Verdict:
    up = [task for task in current if _runs(task)]
    old = [task for task in status.tasks if not task.is_current and _runs(task)]
    done = sum(_is_done(tasks) for tasks in _by_place(current).values())
    text = f"{len(up)} of {status.desired} running" + (f", {done} completed" if done else "")
    if len(up) + done >= status.desired and not old and status.update.state != "updating":
        return Verdict(ready=True, text=text, steady_s=_STEADY_S if status.desired else 0)
    return Verdict(text=text)


def _job(status: WorkloadStatus) -> Verdict:
    return Verdict(
        ready=status.completed >= status.desired,
        text=f"{status.completed} of {status.desired} completed",
    )


def _hopeless(current: list[TaskState], past: Collection[str]) -> Verdict | None:
    """Replicas that keep failing, have failed for good, or have no place to be."""
    for tasks in _by_place(current).values():
        if any(_runs(task) for task in tasks):
            continue
        failed = [task for task in tasks if task.state in FAILED_STATES]
        lost = [task for task in failed if task.id not in past]
        if len(lost) >= _MOST_FAILURES:
            return Verdict(error=f"it failed {len(lost)} times{_why(lost)}")
        if failed and all(task.state in ENDED_STATES and not _is_wanted(task) for task in tasks):
            return Verdict(error=f"it has ended{_why(failed)}", steady_s=_SETTLED_S)
    for task in current:
        if task.state in ("new", "pending") and task.error:
            error = f"no node takes it: {task.error}"
            return Verdict(error=error, text=error, steady_s=_PATIENCE_S)
    return None


def _by_place(tasks: Iterable[TaskState]) -> dict[int | str, list[TaskState]]:
    places: dict[int | str, list[TaskState]] = defaultdict(list)
    for task in tasks:
        places[task.slot or task.node_id].append(task)
    return places


def _is_done(tasks: list[TaskState]) -> bool:
    """Whether a replica has ended well, and is not started again."""
    newest = max(tasks, key=lambda task: task.created_at)
    return newest.state == "complete" and not any(map(_is_wanted, tasks))


def _runs(task: TaskState) -> bool:
    return task.state == "running" and _is_wanted(task)


def _is_wanted(task: TaskState) -> bool:
    return task.desired_state in ("running", "ready", "complete")


def _why(tasks: Iterable[TaskState]) -> str:
    """`: web.2 on node1: task: non-zero exit (3)`, or ""."""
    task = last_failure(tasks)
    if task is None:
        return ""
    place = f" on {task.node}" if task.node else ""
    number = f".{task.slot}" if task.slot else ""
    reason = task.error or task.message or task.state
    return f": {task.service}{number}{place}: {reason}"


def _said(status: WorkloadStatus) -> str:
    return f": {status.update.message}" if status.update.message else ""
