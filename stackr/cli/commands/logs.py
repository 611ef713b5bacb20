"""`stackr logs`: what containers wrote, merged by time; with `-f`, as they write it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.declared import Group, Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.cli.views.logs import LogLines
from stackr.options import Option
from stackr.stack.log_request import LogRequest, show_logs
from stackr.stack.workloads.logs import show_cluster_logs

__all__ = ["logs"]


@dataclass(frozen=True, slots=True)
class LogsArguments:
    """`stackr logs`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    request: Annotated[LogRequest, Group(("follow", "tail", "since", "until", "timestamps"))] = (
        field(default_factory=LogRequest)
    )
    no_log_prefix: Annotated[
        bool, Option("--no-log-prefix", help="Show no names before the lines")
    ] = False
    index: Annotated[
        int | None,
        Option("--index", metavar="NUM", help="Only this replica of the service"),
    ] = None


@takes(LogsArguments)
def logs(ctx: typer.Context, arguments: LogsArguments) -> None:
    """Show the output of the stack's containers."""
    options, targets = options_of(ctx), arguments.targets
    request = replace(arguments.request, services=targets.services, index=arguments.index)
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    with open_session(options) as session:
        out = session.view.log_output(session.out)
        lines = LogLines(out, out, prefix=not arguments.no_log_prefix, reports=session.err)
        session.look(
            lambda runtime: show_logs(runtime, name, request, lines),
            cluster=OnCluster(
                name, lambda cluster: show_cluster_logs(cluster, name, request, lines)
            ),
        )
