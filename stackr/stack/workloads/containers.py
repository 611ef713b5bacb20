"""A cluster's tasks as containers are listed: one for each replica, and where it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping

from stackr.planner.workloads.removal import services_of
from stackr.runtime import labels
from stackr.runtime.types import ContainerState, PublishedPort
from stackr.runtime.workloads import ENDED_STATES, NodeState, TaskState, Workloads, WorkloadStatus
from stackr.stack.workloads.tasks import StackTask, replica_name, replica_numbers, tasks_among

__all__ = ["cluster_containers", "container_of", "newest_of_each"]


async def cluster_containers(
    cluster: Workloads, project: str, services: Collection[str] = (), *, all: bool = False
) -> list[ContainerState]:
    """Those that run, by name. services: () for all. all: what is about to run, or has ended and
    is not replaced, as well.
    """
    observation, found, nodes = await asyncio.gather(
        cluster.observe(project), cluster.status(project), cluster.nodes()
    )
    tasks = newest_of_each(tasks_among(services_of(observation, services), found, all=True))
    return containers_among(tasks, project, found, {node.id: node for node in nodes}, all=all)


def containers_among(
    tasks: Collection[StackTask],
    project: str,
    found: Iterable[WorkloadStatus],
    nodes: Mapping[str, NodeState],
    *,
    all: bool = False,
) -> list[ContainerState]:
    """Pure. nodes: by ID."""
    everywhere = {status.service: status.ports for status in found}
    numbers = replica_numbers(tasks)
    containers = [
        container_of(
            each,
            project,
            numbers[each.task.id],
            (*each.task.ports, *everywhere.get(each.task.service, ())),
            nodes.get(each.task.node_id),
        )
        for each in tasks
    ]
    listed = [each for each in containers if all or each.is_running]
    return sorted(listed, key=lambda each: each.name)


def newest_of_each(tasks: Iterable[StackTask]) -> list[StackTask]:
    """Of each replica the tasks that are wanted; where none is, the newest of those that were."""
    places: dict[tuple[str, int | str], list[StackTask]] = {}
    for each in tasks:
        place = each.task.slot or each.task.node_id
        places.setdefault((each.service, place), []).append(each)
    chosen = []
    for those in places.values():
        wanted = [each for each in those if each.is_wanted]
        chosen += wanted or [max(those, key=lambda each: each.task.created_at)]
    return chosen


def container_of(
    each: StackTask,
    project: str,
    number: int,
    ports: Iterable[tuple[int, int, str]] = (),
    node: NodeState | None = None,
) -> ContainerState:
    """ports: (published, target, protocol). status: the cluster's own words on the task."""
    task = each.task
    words = task.error or task.message
    host = node.address if node is not None else ""
    return ContainerState(
        id=task.container_id or task.id,
        name=replica_name(each.service, task.slot, task.node),
        image=task.image,
        state=_state(task),
        status=f"{task.state}: {words}" if words and words != task.state else task.state,
        health="starting" if task.state == "starting" else "",
        exit_code=0 if task.state == "complete" else task.exit_code,
        labels={
            labels.PROJECT: project,
            labels.SERVICE: each.service,
            labels.CONTAINER_NUMBER: str(number),
        },
        ports=tuple(
            PublishedPort(target, protocol, host, published)
            for published, target, protocol in ports
        ),
        created=task.created_at,
        error=task.error,
    )


def _state(task: TaskState) -> str:
    """In the words that containers have."""
    if task.state == "running":
        return "running"
    if task.state not in ENDED_STATES:
        return "created"
    return "exited" if task.state == "complete" or task.exit_code is not None else "dead"
