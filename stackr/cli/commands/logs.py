"""`stackr logs`: what containers wrote, merged by time; with `-f`, as they write it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from stackr.cli.arguments import parse_moment, parse_tail, split_targets
from stackr.cli.flags import Words
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.source import source_of
from stackr.cli.views.logs import LogLines
from stackr.stack.log_request import LogRequest, show_logs

__all__ = ["logs"]


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
    targets = split_targets(words)
    request = LogRequest(
        targets.services,
        follow=follow,
        tail=parse_tail(tail),
        since=parse_moment("--since", since, now=now),
        until=parse_moment("--until", until, now=now),
        timestamps=timestamps,
        index=index,
    )
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    with open_session(options) as session:
        out = session.view.log_output(session.out)
        lines = LogLines(out, out, prefix=not no_log_prefix, reports=session.err)
        session.on_engine(lambda runtime: show_logs(runtime, name, request, lines))
