"""`stackr create`: what `up` would create, of which nothing is started."""

from __future__ import annotations

import typer

from stackr.cli.arguments import is_set, parse_pull, parse_scale, split_targets
from stackr.cli.commands.up import bring_up
from stackr.cli.flags import (
    Build,
    ForceRecreate,
    NoBuild,
    NoRecreate,
    Pull,
    QuietPull,
    RemoveOrphans,
    Scale,
    Words,
    Yes,
    refuse_builds,
)
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.up_arguments import UpArguments

__all__ = ["create"]


def create(
    ctx: typer.Context,
    words: Words = None,
    scale: Scale = None,
    force_recreate: ForceRecreate = False,
    no_recreate: NoRecreate = False,
    remove_orphans: RemoveOrphans = False,
    pull: Pull = None,
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
        recreate_volumes=yes,
    )
    with open_session(options_of(ctx)) as session:
        return bring_up(session.without_pull_progress() if quiet_pull else session, arguments)
