"""The tasks of a stack on a cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stackr.planner.workloads.document import key_of
from stackr.planner.workloads.removal import services_of
from stackr.runtime.workloads import ObservedDocument, TaskState, Workloads, WorkloadStatus

__all__ = ["StackTask", "list_tasks", "replica_name", "replica_numbers", "tasks_among"]

_LIVE = ("running", "ready")


@dataclass(frozen=True, slots=True)
class StackTask:
    """service: the stack file's name of the task's."""

    service: str
    task: TaskState

    @property
    def name(self) -> str:
        """As `docker stack ps` calls it: `shop_web.2`, `shop_agent.NODE` where one is a node."""
        task = self.task
        return f"{task.service}.{task.slot or task.node_id or task.id}"

    @property
    def is_wanted(self) -> bool:
        return self.task.desired_state in _LIVE


async def list_tasks(
    cluster: Workloads, project: str, services: Collection[str] = (), *, all: bool = False
) -> list[StackTask]:
    """By service and number, the newest first. all: those that ended or were replaced as well."""
    documents = services_of(await cluster.observe(project), services)
    return tasks_among(documents, await cluster.status(project), all=all)


def tasks_among(
    documents: Iterable[ObservedDocument], found: Iterable[WorkloadStatus], *, all: bool = False
) -> list[StackTask]:
    """Those of these services, as `list_tasks` has them. Pure."""
    keys = {document.name: key_of(document) for document in documents}
    tasks = [
        StackTask(keys[status.service], task)
        for status in found
        if status.service in keys
        for task in status.tasks
    ]
    wanted = [task for task in tasks if all or task.is_wanted]
    return sorted(wanted, key=lambda each: (each.service, each.task.slot, -each.task.created_at))


def replica_numbers(tasks: Iterable[StackTask]) -> dict[str, int]:
    """The number of each task's replica, by the task's ID; from 1.

    Where one is a node, nobody numbers them: they count by the names of their nodes. Pure.
    """
    nodes: defaultdict[str, dict[str, int]] = defaultdict(dict)
    numbers = {}
    for each in sorted(tasks, key=lambda each: (each.service, each.task.node, each.task.node_id)):
        task, own = each.task, nodes[each.service]
        numbers[task.id] = task.slot or own.setdefault(task.node_id or task.id, len(own) + 1)
    return numbers


def replica_name(service: str, slot: int, node: str) -> str:
    """As logs have it: `web.2@node1`; slot: 0 where one is a node, node: "" where none is known."""
    return service + (f".{slot}" if slot else "") + (f"@{node}" if node else "")
