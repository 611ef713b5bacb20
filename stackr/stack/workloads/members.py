"""Where a cluster's tasks answer: each replica on its own node, and ports that every node has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from stackr.planner.workloads.removal import services_of
from stackr.runtime.workloads import NodeState, Workloads, WorkloadStatus
from stackr.stack.testenv.variables import Address, Member
from stackr.stack.workloads.tasks import StackTask, replica_numbers, tasks_among

__all__ = ["members_among", "members_of"]

Scheme = Callable[[str, int], str]
"""(service, container port) -> the scheme of its URL, "" for the port's usual one."""


async def members_of(
    cluster: Workloads, project: str, services: Collection[str] = (), *, scheme_of: Scheme
) -> list[Member]:
    """The replicas that run, by service and number. services: () for all."""
    observation, found, nodes = await asyncio.gather(
        cluster.observe(project), cluster.status(project), cluster.nodes()
    )
    tasks = tasks_among(services_of(observation, services), found)
    return members_among(tasks, found, {node.id: node for node in nodes}, scheme_of)


def members_among(
    tasks: Iterable[StackTask],
    found: Iterable[WorkloadStatus],
    nodes: Mapping[str, NodeState],
    scheme_of: Scheme,
) -> list[Member]:
    """Pure. nodes: by ID. Replicas that have no number, one a node, are numbered by their nodes."""
    everywhere = {status.service: status.ports for status in found}
    running = [each for each in tasks if each.task.state == "running"]
    numbers = replica_numbers(running)
    members = []
    for each in sorted(running, key=lambda each: (each.service, each.task.slot, each.task.node)):
        task = each.task
        node = nodes.get(task.node_id)
        ports = (*task.ports, *everywhere.get(task.service, ()))
        members.append(
            Member(
                service=each.service,
                number=numbers[task.id],
                name=each.name,
                id=task.container_id,
                state=task.state,
                ports=_addresses(each.service, ports, node, scheme_of),
            )
        )
    return members


def _addresses(
    service: str,
    ports: Iterable[tuple[int, int, str]],
    node: NodeState | None,
    scheme_of: Scheme,
) -> tuple[Address, ...]:
    host = node.address or node.name if node is not None else ""
    return tuple(
        Address(target, host, published, protocol, scheme_of(service, target))
        for published, target, protocol in ports
        if published and host
    )
