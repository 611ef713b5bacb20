"""Take a whole stack away from a cluster, with its history, its time, and its volumes if asked."""

from __future__ import annotations

from dataclasses import dataclass

from stackr.errors import StackrError, Unavailable
from stackr.executor.documents import DocumentCalls
from stackr.executor.events import Event
from stackr.executor.outcome import Outcome
from stackr.executor.walk import walk
from stackr.planner.dialects import dialect_of
from stackr.planner.workloads.removal import plan_removal
from stackr.runtime import labels
from stackr.runtime.workloads import (
    DocumentKind,
    Observation,
    SupportsNodeEngines,
    Workloads,
)
from stackr.stack.workloads.history import forget_all

__all__ = ["RemovedDocuments", "remove_stack"]


@dataclass(frozen=True, slots=True)
class RemovedDocuments:
    """How many of each are gone. left: volumes that could not be reached, each with why."""

    services: int = 0
    networks: int = 0
    left: tuple[str, ...] = ()


async def remove_stack(
    cluster: Workloads, project: str, *, with_volumes: bool = False
) -> RemovedDocuments:
    """All that the cluster has of it; when it is to go, last, so that whoever is cut off is
    followed by another one. Raises the first error, after trying all.
    """
    observation = await cluster.observe(project)
    nodes = await _nodes_with_volumes(cluster, observation) if with_volumes else set()
    outcome = Outcome(plan_removal(observation))
    await walk(outcome.plan, DocumentCalls(cluster, project), _nobody, outcome=outcome)
    if outcome.failed:
        raise outcome.failed[0].error
    await forget_all(cluster, project)
    left = [
        told for node in sorted(nodes) if (told := await _without_volumes(cluster, node, project))
    ]
    await cluster.clear_expiry(project)
    kinds = [each.kind for each in observation.documents]
    return RemovedDocuments(
        kinds.count(DocumentKind.SERVICE), kinds.count(DocumentKind.NETWORK), tuple(left)
    )


def _nobody(event: Event, /) -> None:
    """Told of what is done."""


async def _nodes_with_volumes(cluster: Workloads, observation: Observation) -> set[str]:
    """The IDs of the nodes on which tasks have volumes of the stack that outlive them."""
    dialect = dialect_of(cluster.dialect)
    services = {
        each.name
        for each in observation.documents
        if each.kind is DocumentKind.SERVICE and dialect.volumes(each, observation.project)
    }
    if not services:
        return set()
    found = await cluster.status(observation.project, services=sorted(services))
    return {task.node_id for status in found for task in status.tasks if task.node_id}


async def _without_volumes(cluster: Workloads, node: str, project: str) -> str:
    """Remove those of a node, through its own engine; "" or why they stay."""
    try:
        if not isinstance(cluster, SupportsNodeEngines):
            raise Unavailable(f'node "{node}": its engine cannot be reached')
        async with await cluster.node_engine(node) as runtime:
            for volume in await runtime.list_volumes(
                labels=[f"{labels.STACK_NAMESPACE}={project}"]
            ):
                await runtime.remove_volume(volume.name, force=True)
    except StackrError as error:
        return f"{project}: its volumes stay: {error.message}"
    return ""
