"""`stackr events`: what happens to the project's containers, as it happens."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, parse_moment, split_targets
from stackr.cli.flags import Words
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.events import event_json, event_line
from stackr.errors import InvalidArgument
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime

__all__ = ["events"]


@dataclass(frozen=True, slots=True)
class _Arguments:
    """`stackr events`. since, until: Unix seconds."""

    targets: Targets = field(default_factory=Targets)
    json: bool = False
    since: float | None = None
    until: float | None = None


def events(
    ctx: typer.Context,
    words: Words = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Also what was: 10m, 2026-01-02T13:23:37Z"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="End at that time")
    ] = None,
) -> None:
    """Show what happens to the stack's containers, until Ctrl-C."""
    options, now = options_of(ctx), time.time()
    arguments = _Arguments(
        split_targets(words),
        json=json or options.json,
        since=parse_moment("--since", since, now=now),
        until=parse_moment("--until", until, now=now),
    )
    if arguments.since and arguments.until and arguments.until < arguments.since:
        raise InvalidArgument("events: --since cannot be after --until")
    source = source_of(options, arguments.targets.files)
    name = source.name()
    source.check_services(arguments.targets.services)
    with open_session(options) as session:
        session.on_engine(lambda runtime: _events(session, runtime, name, arguments))


async def _events(session: Session, runtime: Runtime, project: str, arguments: _Arguments) -> None:
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
