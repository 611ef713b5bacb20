"""What a cluster knows of an environment that failed: states of tasks, their errors and output.

What cannot be had within a few seconds is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from stackr.errors import StackrError
from stackr.executor.convergence import judge, last_failure
from stackr.executor.outcome import Outcome
from stackr.planner.workloads.document import key_of
from stackr.planner.workloads.removal import services_of
from stackr.runtime.workloads import (
    FAILED_STATES,
    TaskLogEntry,
    TaskState,
    Workloads,
    WorkloadStatus,
)
from stackr.spec.model.project import Project
from stackr.stack.log_read import text_of
from stackr.stack.testenv.dossier import versions
from stackr.stack.testenv.evidence import (
    OTHER_LINES,
    OUTPUT_LINES,
    PATIENCE_S,
    ROOT_LINES,
    Fault,
    faults_of,
    place_of,
)
from stackr.stack.testenv.findings import Spoken, Suspect, in_order
from stackr.stack.testenv.timeline import Moment, Timeline
from stackr.stack.workloads.tasks import replica_name

__all__ = ["ClusterEvidence", "problem_of_tasks", "task_moments"]


@dataclass(frozen=True, slots=True)
class _Ill:
    """A service that is not as it should be, and the task that shows it best."""

    suspect: Suspect
    task: TaskState | None = None


class ClusterEvidence:
    """See `site.Evidence`."""

    def __init__(self, cluster: Workloads, project: str) -> None:
        self._cluster = cluster
        self._project = project
        self._found: Mapping[str, WorkloadStatus] = {}
        """By the stack file's name."""

    async def look(self, timeline: Timeline) -> str:
        try:
            observation = await self._cluster.observe(self._project)
            keys = {each.name: key_of(each) for each in services_of(observation)}
            found = await self._cluster.status(self._project)
        except StackrError as error:
            return error.message
        self._found = {keys[each.service]: each for each in found if each.service in keys}
        for moment in task_moments(self._found):
            timeline.add(
                moment.text,
                service=moment.service,
                is_bad=moment.is_bad,
                at_ns=int(moment.at_s * 1e9),
            )
        return ""

    async def suspects(
        self, project: Project, outcome: Outcome | None, timeline: Sequence[Moment]
    ) -> tuple[Suspect, ...]:
        faults = faults_of(outcome.failed if outcome else ())
        ill = {
            name: found
            for name in project.services
            if (found := _ill(project, name, faults.get(name), self._found.get(name)))
        }
        needs = {name: service.depends_on for name, service in project.services.items()}
        ordered = in_order((each.suspect for each in ill.values()), needs, timeline)
        logs = (
            self._last_lines(ill[each.service].task, OTHER_LINES if place else ROOT_LINES)
            for place, each in enumerate(ordered)
        )
        found_logs = await asyncio.gather(*logs)
        return tuple(replace(each, log=log) for each, log in zip(ordered, found_logs, strict=True))

    async def _last_lines(self, task: TaskState | None, lines: int) -> tuple[str, ...]:
        if task is None:
            return ()
        found = await self._lines(task.service, task=task.id, tail=lines)
        return tuple(text_of(entry) for entry in found[-lines:])

    async def output_since(self, since: float) -> tuple[Spoken, ...]:
        async def of(key: str, status: WorkloadStatus) -> list[tuple[int, Spoken]]:
            found = await self._lines(status.service, tail=OUTPUT_LINES, since=since)
            return [
                (each.time_ns, Spoken(replica_name(key, each.slot, each.node), text_of(each)))
                for each in found
            ]

        lists = await asyncio.gather(*(of(*each) for each in self._found.items()))
        merged = sorted((line for each in lists for line in each), key=lambda line: line[0])
        return tuple(spoken for _, spoken in merged[-OUTPUT_LINES:])

    async def _lines(self, service: str, **window: Any) -> list[TaskLogEntry]:
        found = []
        with suppress(StackrError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                async for entry in self._cluster.logs(service, timestamps=True, **window):
                    found.append(entry)
        return found

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {}
        with suppress(StackrError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                observation = await self._cluster.observe(self._project)
                for each in observation.documents:
                    told = asdict(replace(each, content=None)) | {"kind": each.kind.value}
                    state.setdefault(f"{each.kind.value}s", []).append(told)
                found = await self._cluster.status(self._project)
                state["tasks"] = [asdict(task) for each in found for task in each.tasks]
                state["nodes"] = [asdict(node) for node in await self._cluster.nodes()]
        return state

    async def versions(self) -> dict[str, Any]:
        return await versions(self._cluster)


def task_moments(found: Mapping[str, WorkloadStatus]) -> list[Moment]:
    """When each task came to the state that it is in; `at_s` is in Unix seconds. Pure."""
    return [
        Moment(
            task.at,
            f"{replica_name(key, task.slot, task.node)} {task.state}"
            + (f": {task.error}" if task.error else ""),
            key,
            is_bad=task.state in FAILED_STATES,
        )
        for key, status in found.items()
        for task in status.tasks
        if task.at
    ]


def _ill(
    project: Project, name: str, fault: Fault | None, status: WorkloadStatus | None
) -> _Ill | None:
    tasks = status.tasks if status is not None else ()
    problem = problem_of_tasks(status) if status is not None else ""
    if fault is None and not problem:
        return None
    task = last_failure(tasks) or next(iter(tasks), None)
    suspect = Suspect(
        service=name,
        container=replica_name(name, task.slot, task.node) if task else "",
        problem=problem or (f"is not up: {fault.message}" if fault else ""),
        hint=fault.hint if fault else "",
        place=place_of(project, name, fault.attribute if fault else ""),
    )
    return _Ill(suspect, task)


def problem_of_tasks(status: WorkloadStatus) -> str:
    """What is wrong with a service of an environment, all of whose tasks are its own; "". Pure."""
    verdict = judge(status)
    if verdict.error:
        return f"is not up: {verdict.error}"
    count = sum(task.state in FAILED_STATES for task in status.tasks)
    failed = last_failure(status.tasks)
    if failed is not None:
        times = f" {count} times" if count > 1 else ""
        return f"has failed{times}: {failed.error or failed.message or failed.state}"
    return "" if verdict.ready else f"is not up: {verdict.text}"
