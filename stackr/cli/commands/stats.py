"""`stackr stats`: what the project's containers use, once or every second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.arguments import Targets
from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.formats import Format
from stackr.cli.views.usage import COLUMNS, HEADINGS, stats_fields
from stackr.errors import Conflict, NotFound, NotSupported
from stackr.options import Option
from stackr.runtime.protocol import Runtime, SupportsStats
from stackr.runtime.types import ContainerState, ContainerStats
from stackr.runtime.workloads import Workloads
from stackr.stack.containers import project_containers
from stackr.stack.usage import UsageReaders
from stackr.stack.workloads.nodes import NodeEngines, running_tasks

__all__ = ["Shown", "follow_stats", "stats"]

_INTERVAL_S = 1.0
_HOME, _LINE_END, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


@dataclass(frozen=True, slots=True)
class StatsArguments:
    """`stackr stats`. all: stopped containers too. no_trunc: nothing is cut."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    all: Annotated[bool, Option("--all", "-a", help="Stopped containers as well")] = False
    no_stream: Annotated[bool, Option("--no-stream", help="Show the figures once, and end")] = False
    no_trunc: Annotated[bool, Option("--no-trunc", help="Do not cut long values")] = False
    form: Annotated[
        str, Option("--format", metavar="FORMAT", help='table, json, or "{{.Name}}"')
    ] = "table"


@takes(StatsArguments)
def stats(ctx: typer.Context, arguments: StatsArguments) -> None:
    """Show what the stack's containers use, until Ctrl-C."""
    options = options_of(ctx)
    form = Format.parse("json" if options.json else arguments.form, columns=COLUMNS)
    source = source_of(options, arguments.targets.files)
    name = source.name()
    source.check_services(arguments.targets.services)
    with open_session(options) as session:
        session.look(
            lambda runtime: _stats(session, runtime, name, arguments, form),
            cluster=OnCluster(
                name, lambda cluster: _stats_on(session, cluster, name, arguments, form)
            ),
        )


async def _stats(
    session: Session, runtime: Runtime, project: str, arguments: StatsArguments, form: Format
) -> None:
    if not isinstance(runtime, SupportsStats):
        raise NotSupported("stats: this engine does not offer it")
    shown = Shown(form, once=arguments.no_stream, whole=arguments.no_trunc)
    await follow_stats(session, runtime, lambda: _containers(runtime, project, arguments), shown)


async def _stats_on(
    session: Session, cluster: Workloads, project: str, arguments: StatsArguments, form: Format
) -> None:
    """By the engines of the nodes."""
    shown = Shown(form, once=arguments.no_stream, whole=arguments.no_trunc)
    async with NodeEngines(cluster) as engines:

        async def look() -> list[ContainerState]:
            tasks = await running_tasks(cluster, project, arguments.targets.services)
            return [container for _, container in await engines.containers(tasks)]

        await follow_stats(session, engines, look, shown)


@dataclass(frozen=True, slots=True)
class Shown:
    """How readings are shown. once: one of each container. whole: nothing is cut."""

    form: Format
    once: bool = False
    whole: bool = False


async def follow_stats(
    session: Session,
    runtime: SupportsStats,
    look: Callable[[], Awaitable[list[ContainerState]]],
    shown: Shown,
) -> None:
    """The readings of the containers that `look` finds, once or every second."""
    if shown.once:
        containers = await look()
        readings = await asyncio.gather(*(_once(runtime, each.id) for each in containers))
        _show(session, list(zip(containers, readings, strict=True)), shown)
        return
    readers = UsageReaders(runtime)
    try:
        while True:
            containers = await look()
            readers.follow([container.id for container in containers])
            rows = [(each, readers.latest.get(each.id, ContainerStats())) for each in containers]
            _show(session, rows, shown)
            await asyncio.sleep(_INTERVAL_S)
    finally:
        await readers.close()


async def _containers(
    runtime: Runtime, project: str, arguments: StatsArguments
) -> list[ContainerState]:
    services = arguments.targets.services
    containers = await project_containers(runtime, project, services, oneoff=True)
    shown = [each for each in containers if arguments.all or each.is_running]
    return sorted(shown, key=lambda container: container.name)


async def _once(runtime: SupportsStats, ref: str) -> ContainerStats:
    """Nothing of a container that has gone."""
    last = ContainerStats()
    with contextlib.suppress(NotFound, Conflict):
        async for reading in runtime.stats(ref, stream=False):
            last = reading
    return last


def _show(
    session: Session, rows: Sequence[tuple[ContainerState, ContainerStats]], shown: Shown
) -> None:
    """The rows; on a terminal in place of those before."""
    fields = [stats_fields(container, stats, whole=shown.whole) for container, stats in rows]
    lines = shown.form.lines(fields, HEADINGS)
    if session.out.is_terminal and not shown.once:
        lines = [f"{line}{_LINE_END}" for line in lines]
        session.out.stream.write(_HOME + "\n".join(lines) + f"\n{_BELOW}")
        session.out.stream.flush()
        return
    for line in lines:
        session.out.line(line)
