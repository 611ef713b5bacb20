"""The tasks of a stack on a cluster, and the engine of the node that one of them runs on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from stackr.errors import NotFound, NotSupported
from stackr.planner.workloads.removal import service_key, services_of
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import SupportsNodeEngines, TaskState, Workloads

__all__ = ["StackTask", "list_tasks", "node_container"]

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


async def node_container(
    cluster: Workloads, project: str, service: str, number: int | None
) -> tuple[Runtime, str]:
    """The engine of the node that a replica runs on, and its container there.

    number: None for the first that runs. The caller closes the engine. Raises NotFound where none
    runs, and Unavailable where the node's engine is out of reach.
    """
    if not isinstance(cluster, SupportsNodeEngines):
        raise NotSupported("this cluster's nodes cannot be reached one by one")
    for each in await list_tasks(cluster, project, [service]):
        task = each.task
        if task.state == "running" and number in (None, task.slot):
            return await cluster.node_engine(task.node_id or task.node), task.container_id
    which = f"replica {number}" if number is not None else "replica"
    raise NotFound(f'service "{service}": no {which} is running', hint="see stackr ps --all")
