"""`stackr ls`: the projects that an engine has containers of, whoever made them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.views.projects import ProjectRow, project_rows, projects_json, projects_table
from stackr.errors import InvalidArgument
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime

__all__ = ["ls"]


def ls(
    ctx: typer.Context,
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Projects that do not run as well")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only names")] = False,
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="name=REGEX", help="Only projects of such a name"),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="KIND", help="table or json")
    ] = "table",
) -> None:
    """List projects."""
    options = options_of(ctx)
    kind = check_choice("--format", "json" if options.json else format_, ("table", "json"))
    patterns = [_pattern(text) for text in filter_ or ()]
    with open_session(options) as session:
        rows = session.on_engine(lambda runtime: _projects(runtime, all=all_))
        if patterns:
            rows = [row for row in rows if any(p.search(row.name) for p in patterns)]
        if quiet:
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
