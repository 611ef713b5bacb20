"""The tasks of a stack on a cluster."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from stackr.planner.workloads.removal import service_key, services_of
from stackr.runtime.workloads import TaskState, Workloads

__all__ = ["StackTask", "list_tasks"]

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
    keys = {document.name: service_key(document) for document in documents}
    tasks = [
        StackTask(keys[status.service], task)
        for status in await cluster.status(project)
        if status.service in keys
        for task in status.tasks
    ]
    wanted = [task for task in tasks if all or task.is_wanted]
    return sorted(wanted, key=lambda each: (each.service, each.task.slot, -each.task.created_at))
