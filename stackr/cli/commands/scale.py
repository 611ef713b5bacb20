"""`stackr scale`: so many replicas of these services, and what they need."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import Targets, parse_scale
from stackr.cli.commands.up import bring_up
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.up_arguments import UpArguments
from stackr.planner.plan.options import UpOptions

__all__ = ["scale"]


def scale(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="SERVICE=NUM...")],
    no_deps: Annotated[
        bool, typer.Option("--no-deps", help="Do not start what the services depend on")
    ] = False,
) -> int:
    """Set the number of containers of each named service."""
    replicas = parse_scale(words, option="scale")
    arguments = UpArguments(
        targets=Targets(services=tuple(replicas)),
        options=UpOptions(scale=replicas, no_deps=no_deps),
        detach=True,
    )
    with open_session(options_of(ctx)) as session:
        return bring_up(session, arguments)
