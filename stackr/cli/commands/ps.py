"""`stackr ps`: the project's containers, as the engine sees them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, check_choice, split_targets
from stackr.cli.flags import NoTrunc, Words
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.source import source_of
from stackr.cli.views.containers import COLUMNS, HEADINGS, container_fields
from stackr.cli.views.formats import Format
from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime import labels
from stackr.stack.containers import list_containers

__all__ = ["ps"]

_STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")


@dataclass(frozen=True, slots=True)
class _Arguments:
    """`stackr ps`. all: stopped ones and those of `run` too. states: only these; () for any."""

    targets: Targets = field(default_factory=Targets)
    all: bool = False
    states: tuple[str, ...] = ()


def ps(
    ctx: typer.Context,
    words: Words = None,
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Stopped containers as well, and those of run")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only IDs")] = False,
    services: Annotated[bool, typer.Option("--services", help="Only services' names")] = False,
    format_: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help='table, json, or "{{.Name}} {{.State}}"'),
    ] = "table",
    filter_: Annotated[
        str | None, typer.Option("--filter", metavar="status=STATE", help="As --status")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATE", help="Only containers in this state"),
    ] = None,
    orphans: Annotated[
        bool,
        typer.Option(
            "--orphans/--no-orphans",
            show_default=False,
            help="Containers of services that the file does not have as well (default)",
        ),
    ] = True,
    no_trunc: NoTrunc = False,
) -> None:
    """List the stack's containers."""
    options = options_of(ctx)
    form = Format.parse("json" if options.json else format_, columns=COLUMNS)
    targets = split_targets(words)
    arguments = _Arguments(targets, all=all_, states=_states(status or (), filter_))
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    chosen = targets.services
    if not chosen and not orphans:
        chosen = source.services()
    with open_session(options) as session:
        listed = session.on_engine(
            lambda runtime: list_containers(
                runtime, name, chosen, all=arguments.all, states=arguments.states
            )
        )
        if quiet:
            lines = [container.id for container in listed]
        elif services:
            lines = list(dict.fromkeys(c.labels.get(labels.SERVICE, "") for c in listed))
        else:
            now = time.time()
            rows = [container_fields(each, now=now, whole=no_trunc) for each in listed]
            lines = form.lines(rows, HEADINGS)
        for line in lines:
            session.out.line(line)


def _states(status: Sequence[str], filter_: str | None) -> tuple[str, ...]:
    """Raises InvalidArgument for a filter or a state that is none."""
    states = list(status)
    if filter_:
        key, equals, value = filter_.partition("=")
        if not equals:
            raise InvalidArgument(f'--filter: "{filter_}": KEY=VAL is expected')
        if key == "source":
            raise NotSupported("--filter: source: not supported")
        if key != "status":
            raise InvalidArgument(f"--filter: unknown filter {key}: status is expected")
        states.append(value)
    return tuple(check_choice("--status", state, _STATES) for state in states)
