"""`stackr create`: what `up` would create, of which nothing is started."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.commands.up import bring_up
from stackr.cli.declared import Group, Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.targets import Targets
from stackr.cli.up_arguments import UpArguments
from stackr.options import Option
from stackr.planner.plan.options import UpOptions

__all__ = ["create"]


@dataclass(frozen=True, slots=True)
class CreateArguments:
    """`stackr create`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    options: Annotated[
        UpOptions,
        Group(("scale", "recreate", "remove_orphans", "pull", "recreate_volumes", "build")),
    ] = field(default_factory=UpOptions)
    quiet_pull: Annotated[
        bool, Option("--quiet-pull", help="Pull without showing how far it is")
    ] = False
    quiet_build: Annotated[
        bool, Option("--quiet-build", help="Build without showing how far it is")
    ] = False


@takes(CreateArguments)
def create(ctx: typer.Context, arguments: CreateArguments) -> int:
    """Create the stack's containers, and start none."""
    wanted = UpArguments(
        targets=arguments.targets,
        options=replace(arguments.options, start=False),
        quiet_pull=arguments.quiet_pull,
        quiet_build=arguments.quiet_build,
    )
    with open_session(options_of(ctx)) as session:
        return bring_up(session, wanted)
