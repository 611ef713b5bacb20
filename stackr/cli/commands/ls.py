"""`stackr ls`: the projects that an engine has containers of, whoever made them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice, check_plain
from stackr.cli.declared import takes
from stackr.cli.interrupts import run_interruptible
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.views.projects import ProjectRow, project_rows, projects_json, projects_table
from stackr.errors import InvalidArgument
from stackr.options import Option
from stackr.planner.workloads.removal import services_of
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.stack.workloads.expiry import clear_expired

__all__ = ["ls"]


@dataclass(frozen=True, slots=True)
class LsArguments:
    """`stackr ls`. filters: as `name=REGEX`, of which one has to hold."""

    all: Annotated[bool, Option("--all", "-a", help="Projects that do not run as well")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only names")] = False
    filters: Annotated[
        tuple[str, ...],
        Option("--filter", metavar="name=REGEX", help="Only projects of such a name"),
    ] = ()
    form: Annotated[str, Option("--format", metavar="KIND", help="table or json")] = "table"


@takes(LsArguments)
def ls(ctx: typer.Context, arguments: LsArguments) -> None:
    """List projects."""
    options = options_of(ctx)
    check_plain(options.json, {"--quiet": arguments.quiet})
    kind = check_choice("--format", "json" if options.json else arguments.form, ("table", "json"))
    patterns = [_pattern(text) for text in arguments.filters]
    with open_session(options) as session:
        rows = run_interruptible(
            session.working(
                lambda runtime: _projects(runtime, all=arguments.all),
                OnCluster("", lambda cluster: _stacks(session, cluster)),
                start=False,
            )
        )
        if patterns:
            rows = [row for row in rows if any(p.search(row.name) for p in patterns)]
        if arguments.quiet:
            lines = [row.name for row in rows]
        elif kind == "json":
            lines = [json.dumps(projects_json(rows), separators=(",", ":"))]
        else:
            lines = projects_table(rows)
        for line in lines:
            session.out.line(line)


def _pattern(text: str) -> re.Pattern[str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidArgument(f'--filter: "{text}": name=REGEX is expected')
    if key != "name":
        raise InvalidArgument(f"--filter: invalid filter '{key}': name is expected")
    try:
        return re.compile(value)
    except re.error as error:
        raise InvalidArgument(f'--filter: "{value}": no regular expression: {error}') from error


async def _projects(runtime: Runtime, *, all: bool) -> Sequence[ProjectRow]:
    wanted = [labels.PROJECT, labels.CONFIG_HASH]
    return project_rows(await runtime.list_containers(labels=wanted, all=all))


async def _stacks(session: Session, cluster: Workloads) -> Sequence[ProjectRow]:
    """Of a cluster: what runs of how many services each stack has; it knows of no files.

    What has had its time is not there any more.
    """
    await clear_expired(session.context(), cluster)
    rows = []
    for name in await cluster.projects():
        observation, found = await asyncio.gather(cluster.observe(name), cluster.status(name))
        up = sum(status.running >= status.desired or status.is_job for status in found)
        own = next((each.labels for each in services_of(observation)), {})
        state = f"services({up}/{len(found)} running)"
        copy = (own.get(labels.FOLDER, ""), own.get(labels.ISOLATED, ""))
        rows.append(ProjectRow(name, state, "N/A", *copy))
    return rows
