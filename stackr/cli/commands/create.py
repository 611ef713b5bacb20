"""`stackr create`: what `up` would create, of which nothing is started."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import UpArguments, is_set, parse_pull, parse_scale, split_targets
from stackr.cli.build_flags import Build, NoBuild, QuietPull, Yes, refuse_builds
from stackr.cli.commands.up import bring_up
from stackr.cli.options import options_of
from stackr.cli.session import open_session

__all__ = ["create"]


def create(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE] [SERVICE]...", show_default=False)
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option("--scale", metavar="SERVICE=NUM", help="Replicas of a service"),
    ] = None,
    force_recreate: Annotated[
        bool, typer.Option("--force-recreate", help="Recreate all, changed or not")
    ] = False,
    no_recreate: Annotated[
        bool, typer.Option("--no-recreate", help="Keep what exists, changed or not")
    ] = False,
    remove_orphans: Annotated[
        bool,
        typer.Option("--remove-orphans", help="Remove containers of services that are gone"),
    ] = False,
    pull: Annotated[
        str | None, typer.Option("--pull", metavar="POLICY", help="always, missing or never")
    ] = None,
    quiet_pull: QuietPull = False,
    no_build: NoBuild = False,
    yes: Yes = False,
    build: Build = False,
) -> int:
    """Create the stack's containers, and start none."""
    refuse_builds("create", build=build)
    arguments = UpArguments(
        targets=split_targets(words),
        no_start=True,
        scale=parse_scale(scale),
        force_recreate=force_recreate,
        no_recreate=no_recreate,
        remove_orphans=remove_orphans or is_set("COMPOSE_REMOVE_ORPHANS"),
        pull=parse_pull(pull),
    )
    with open_session(options_of(ctx)) as session:
        return bring_up(session.without_pull_progress() if quiet_pull else session, arguments)
