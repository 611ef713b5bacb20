"""`stackr top`: the processes of the project's running containers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.cli.views.processes import Processes, processes_json, processes_table
from stackr.errors import Conflict, NotFound, NotSupported
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime, SupportsRawRequest
from stackr.runtime.workloads import Workloads
from stackr.stack.containers import project_containers
from stackr.stack.workloads.nodes import NodeEngines, running_tasks

__all__ = ["top"]


@dataclass(frozen=True, slots=True)
class TopArguments:
    """`stackr top`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)


@takes(TopArguments)
def top(ctx: typer.Context, arguments: TopArguments) -> None:
    """List the processes of the stack's running containers."""
    options, targets = options_of(ctx), arguments.targets
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    with open_session(options) as session:
        found = session.look(
            lambda runtime: _processes(runtime, name, targets.services),
            cluster=OnCluster(name, lambda cluster: _of_tasks(cluster, name, targets.services)),
        )
        for line in processes_json(found) if options.json else processes_table(found):
            session.out.line(line)


async def _processes(
    runtime: Runtime, project: str, services: Sequence[str]
) -> Sequence[Processes]:
    containers = await project_containers(runtime, project, services, oneoff=True)
    running = sorted((c for c in containers if c.is_running), key=lambda c: c.name)
    found = await asyncio.gather(
        *(
            _of_container(
                runtime,
                each.id,
                each.labels.get(labels.SERVICE, each.name),
                each.labels.get(labels.CONTAINER_NUMBER, ""),
            )
            for each in running
        )
    )
    return [each for each in found if each is not None]


async def _of_tasks(
    cluster: Workloads, project: str, services: Sequence[str]
) -> Sequence[Processes]:
    """By the engines of the nodes."""
    tasks = await running_tasks(cluster, project, services)
    async with NodeEngines(cluster) as engines:
        found = [
            await _of_container(
                await engines.of(each),
                each.task.container_id,
                each.service,
                str(each.task.slot or each.task.node),
            )
            for each in tasks
        ]
    return [each for each in found if each is not None]


async def _of_container(runtime: Runtime, ref: str, service: str, number: str) -> Processes | None:
    """None for a container that has ended meanwhile."""
    if not isinstance(runtime, SupportsRawRequest):
        raise NotSupported("top: this engine does not offer it")
    try:
        answer: Any = await runtime.request_json("GET", f"/containers/{ref}/top")
    except (NotFound, Conflict):
        return None
    return Processes(
        service=service,
        number=number,
        titles=tuple(answer.get("Titles") or ()),
        rows=tuple(tuple(row) for row in answer.get("Processes") or ()),
    )
