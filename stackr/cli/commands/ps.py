"""`stackr ps`: the project's containers, as the engine sees them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, check_choice, check_plain
from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.cli.views.containers import COLUMNS, HEADINGS, container_fields
from stackr.cli.views.formats import Format
from stackr.cli.views.tasks import TASK_COLUMNS, TASK_HEADINGS, task_fields
from stackr.errors import InvalidArgument, NotSupported
from stackr.options import Option
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.stack.containers import STATES, list_containers
from stackr.stack.workloads.tasks import list_tasks

__all__ = ["ps"]


@dataclass(frozen=True, slots=True)
class PsArguments:
    """`stackr ps`. all: stopped ones and those of `run` too."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    all: Annotated[
        bool, Option("--all", "-a", help="Stopped containers as well, and those of run")
    ] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only IDs")] = False
    services: Annotated[bool, Option("--services", help="Only services' names")] = False
    form: Annotated[
        str, Option("--format", metavar="FORMAT", help='table, json, or "{{.Name}} {{.State}}"')
    ] = "table"
    filter: Annotated[
        str | None, Option("--filter", metavar="status=STATE", help="The same as --status STATE")
    ] = None
    status: Annotated[
        tuple[str, ...],
        Option("--status", metavar="STATE", help="Only containers in this state"),
    ] = ()
    orphans: Annotated[
        bool,
        Option(
            "--orphans/--no-orphans",
            help="Containers of services that the file does not have as well (default)",
        ),
    ] = True
    no_trunc: Annotated[bool, Option("--no-trunc", help="Do not cut long values")] = False


@takes(PsArguments)
def ps(ctx: typer.Context, arguments: PsArguments) -> None:
    """List the stack's containers."""
    options, targets = options_of(ctx), arguments.targets
    check_plain(options.json, {"--quiet": arguments.quiet, "--services": arguments.services})
    arguments = replace(arguments, form="json") if options.json else arguments
    Format.parse(arguments.form, columns=COLUMNS)  # what is none is told before an engine is asked
    states = _states(arguments.status, arguments.filter)
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    chosen = targets.services
    if not chosen and not arguments.orphans:
        chosen = source.services()
    with open_session(options) as session:
        lines = session.look(
            lambda runtime: _containers(runtime, name, chosen, states, arguments),
            cluster=OnCluster(name, lambda cluster: _tasks(cluster, name, chosen, arguments)),
        )
        for line in lines:
            session.out.line(line)


async def _containers(
    runtime: Runtime,
    project: str,
    services: Sequence[str],
    states: Sequence[str],
    arguments: PsArguments,
) -> list[str]:
    form = Format.parse(arguments.form, columns=COLUMNS)
    listed = await list_containers(runtime, project, services, all=arguments.all, states=states)
    if arguments.quiet:
        return [container.id for container in listed]
    if arguments.services:
        return list(dict.fromkeys(c.labels.get(labels.SERVICE, "") for c in listed))
    now, whole = time.time(), arguments.no_trunc
    rows = [container_fields(each, now=now, whole=whole) for each in listed]
    return form.lines(rows, HEADINGS)


async def _tasks(
    cluster: Workloads, project: str, services: Sequence[str], arguments: PsArguments
) -> list[str]:
    """Of a cluster: on which node each replica is, and why it is not where it should be."""
    form = Format.parse(arguments.form, columns=TASK_COLUMNS)
    if arguments.status or arguments.filter:
        raise NotSupported("--status: of containers; a cluster's tasks are all listed with --all")
    listed = await list_tasks(cluster, project, services, all=arguments.all)
    if arguments.quiet:
        return [each.task.id for each in listed]
    if arguments.services:
        return list(dict.fromkeys(each.service for each in listed))
    now, whole = time.time(), arguments.no_trunc
    rows = [
        task_fields(each.task, each.name, each.service, now=now, whole=whole) for each in listed
    ]
    return form.lines(rows, TASK_HEADINGS)


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
    return tuple(check_choice("--status", state, STATES) for state in states)
