"""`stackr logs`: what containers wrote, merged by time; with `-f`, as they write it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, parse_moment, parse_tail, split_targets
from stackr.cli.flags import Words
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.logs import LogLines
from stackr.errors import InvalidArgument, NotFound
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState
from stackr.stack.logs import LogWindow, Supervisor, print_logs, project_containers, with_logs

__all__ = ["logs"]


@dataclass(frozen=True, slots=True)
class _Arguments:
    """`stackr logs`. tail: lines of each container, None for all; since, until: Unix seconds."""

    targets: Targets = field(default_factory=Targets)
    follow: bool = False
    tail: int | None = None
    since: float | None = None
    until: float | None = None
    timestamps: bool = False
    prefix: bool = True
    index: int | None = None


def logs(
    ctx: typer.Context,
    words: Words = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes")] = False,
    tail: Annotated[
        str, typer.Option("--tail", "-n", metavar="LINES", help="Last lines of each container")
    ] = "all",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Not before: 10m, 2026-01-02T13:23:37Z"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Not after that time")
    ] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Times before the lines")
    ] = False,
    no_log_prefix: Annotated[
        bool, typer.Option("--no-log-prefix", help="No names before the lines")
    ] = False,
    index: Annotated[
        int | None, typer.Option("--index", metavar="NUM", help="Only this replica of the service")
    ] = None,
) -> None:
    """Show the output of the stack's containers."""
    options, now = options_of(ctx), time.time()
    arguments = _Arguments(
        split_targets(words),
        follow=follow,
        tail=parse_tail(tail),
        since=parse_moment("--since", since, now=now),
        until=parse_moment("--until", until, now=now),
        timestamps=timestamps,
        prefix=not no_log_prefix,
        index=index,
    )
    if index is not None and len(arguments.targets.services) != 1:
        raise InvalidArgument("--index needs one service")
    source = source_of(options, arguments.targets.files)
    name = source.name()
    source.check_services(arguments.targets.services)
    with open_session(options) as session:
        session.on_engine(lambda runtime: _logs(session, runtime, name, arguments))


async def _logs(session: Session, runtime: Runtime, project: str, arguments: _Arguments) -> None:
    out = session.view.log_output(session.out)
    lines = LogLines(out, out, prefix=arguments.prefix, reports=session.err)
    services = arguments.targets.services
    window = LogWindow(arguments.tail, arguments.since, arguments.until)
    containers = await project_containers(runtime, project, services)
    if arguments.index is not None:
        containers = [c for c in containers if _number(c) == str(arguments.index)]
        if not containers:
            raise NotFound(f'service "{services[0]}" has no container {arguments.index}')
    left_s = None if arguments.until is None else arguments.until - time.time()
    if not arguments.follow or (left_s is not None and left_s <= 0):
        await print_logs(
            with_logs(runtime), containers, window, lines, timestamps=arguments.timestamps
        )
        return
    supervisor = Supervisor(
        with_logs(runtime),
        project,
        lines,
        services=services,
        only=None if arguments.index is None else {c.id for c in containers},
        timestamps=arguments.timestamps,
        announce=False,
    )
    try:
        async with asyncio.timeout(left_s):
            await supervisor.open(window)
            await supervisor.supervise_running()
            await supervisor.ended()
    except TimeoutError:
        return  # the time of --until has come
    finally:
        await supervisor.close()


def _number(container: ContainerState) -> str:
    return container.labels.get(labels.CONTAINER_NUMBER, "")
