"""`stackr down`: stop and remove what belongs to the project, found by its labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import typer

from stackr.cli.arguments import Targets, is_set, parse_rmi, split_targets
from stackr.cli.flags import RemoveOrphans, Timeout, Words
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.source import source_of
from stackr.planner.desired import desired
from stackr.planner.options import DownOptions
from stackr.stack.down import take_down

__all__ = ["down"]


@dataclass(frozen=True, slots=True)
class _Arguments:
    """`stackr down`. remove_images: None, "local" (those without a registry's name) or "all"."""

    targets: Targets = field(default_factory=Targets)
    volumes: bool = False
    remove_orphans: bool = False
    timeout_s: float | None = None
    remove_images: Literal["all", "local"] | None = None


def down(
    ctx: typer.Context,
    words: Words = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", "-v", help="Remove the stack's volumes, with their data")
    ] = False,
    remove_orphans: RemoveOrphans = False,
    timeout: Timeout = None,
    rmi: Annotated[
        str | None, typer.Option("--rmi", metavar="WHICH", help="Remove images: all or local")
    ] = None,
) -> int:
    """Stop and remove the stack's containers and networks; volumes only with -v."""
    arguments = _Arguments(
        split_targets(words),
        volumes=volumes,
        remove_orphans=remove_orphans or is_set("COMPOSE_REMOVE_ORPHANS"),
        timeout_s=timeout,
        remove_images=parse_rmi(rmi),
    )
    down_options = DownOptions(
        services=arguments.targets.services,
        volumes=arguments.volumes,
        remove_orphans=arguments.remove_orphans,
        images=arguments.remove_images,
        timeout_s=arguments.timeout_s,
    )
    options = options_of(ctx)
    project = source_of(options, arguments.targets.files).find()
    wanted = None if isinstance(project, str) else desired(project)
    name = project if isinstance(project, str) else project.name
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: take_down(session.context(), runtime, name, wanted, down_options)
        ).exit_code
