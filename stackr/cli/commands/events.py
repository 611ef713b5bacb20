"""`stackr events`: what happens to the project's containers, as it happens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.arguments import Targets
from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.events import event_json, event_line
from stackr.errors import InvalidArgument, NotSupported
from stackr.options import Option
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import EngineEvent
from stackr.runtime.workloads import Workloads

__all__ = ["events"]


@dataclass(frozen=True, slots=True)
class EventsArguments:
    """`stackr events`. since, until: Unix seconds."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    json: Annotated[bool, Option("--json", help="One JSON object a line")] = False
    since: Annotated[
        float | None,
        Option(
            "--since",
            metavar="WHEN",
            kind="moment",
            help="Also what was: 10m, 2026-01-02T13:23:37Z",
        ),
    ] = None
    until: Annotated[
        float | None,
        Option("--until", metavar="WHEN", kind="moment", help="End at this time"),
    ] = None


@takes(EventsArguments)
def events(ctx: typer.Context, arguments: EventsArguments) -> None:
    """Show what happens to the stack's containers, until Ctrl-C."""
    options = options_of(ctx)
    arguments = replace(arguments, json=arguments.json or options.json)
    if arguments.since and arguments.until and arguments.until < arguments.since:
        raise InvalidArgument("events: --since cannot be after --until")
    source = source_of(options, arguments.targets.files)
    name = source.name()
    source.check_services(arguments.targets.services)
    with open_session(options) as session:
        session.look(
            lambda runtime: _events(session, runtime, name, arguments),
            cluster=OnCluster(name, lambda cluster: _of_cluster(session, cluster, name, arguments)),
        )


async def _events(
    session: Session, runtime: Runtime, project: str, arguments: EventsArguments
) -> None:
    services = arguments.targets.services
    stream = runtime.events(
        labels=[f"{labels.PROJECT}={project}"], since=arguments.since, until=arguments.until
    )
    async for event in stream:
        own = event.attributes
        if event.type != "container" or own.get(labels.ONEOFF) == "True":
            continue
        if services and own.get(labels.SERVICE) not in services:
            continue
        session.out.line(event_json(event) if arguments.json else event_line(event))


async def _of_cluster(
    session: Session, cluster: Workloads, project: str, arguments: EventsArguments
) -> None:
    """What happens to a stack's services and what they use; of tasks, `ps` tells."""
    if arguments.targets.services:
        raise NotSupported("events: on a cluster, those of the whole stack are shown")
    stream = cluster.events(project, since=arguments.since, until=arguments.until)
    async for event in stream:
        if event.kind:
            attributes = {**event.attributes, "name": event.name}
            told = EngineEvent(event.kind, event.action, event.id, attributes, event.time_ns)
            session.out.line(event_json(told) if arguments.json else event_line(told))
