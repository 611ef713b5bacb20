"""`stackr down`: stop and remove what belongs to the project, found by its labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stackr.cli.arguments import Targets, is_set, parse_rmi, split_targets
from stackr.cli.flags import RemoveOrphans, Timeout, Words
from stackr.cli.options import options_of
from stackr.cli.project import find_project
from stackr.cli.session import Session, open_session

if TYPE_CHECKING:
    from stackr.planner.desired import Desired
    from stackr.planner.options import DownOptions
    from stackr.runtime.protocol import Runtime

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
    options = options_of(ctx)
    project = find_project(options, arguments.targets.files)
    with open_session(options) as session:
        if isinstance(project, str):
            return session.on_engine(
                lambda runtime: _down(session, runtime, project, None, arguments)
            )
        from stackr.planner.desired import desired

        wanted = desired(project)
        return session.on_engine(
            lambda runtime: _down(session, runtime, wanted.project, wanted, arguments)
        )


async def _down(
    session: Session,
    runtime: Runtime,
    project: str,
    wanted: Desired | None,
    arguments: _Arguments,
) -> int:
    from stackr.planner.lifecycle import plan_down
    from stackr.planner.observed import observe
    from stackr.planner.options import DownOptions

    down_options = DownOptions(
        services=arguments.targets.services,
        volumes=arguments.volumes,
        remove_orphans=arguments.remove_orphans,
        images=arguments.remove_images,
        timeout_s=arguments.timeout_s,
    )
    async with session.locked(runtime, project):
        plan = plan_down(await observe(runtime, project), down_options, wanted)
        if plan.is_empty:
            session.view.message(f"{project}: nothing to remove")
        code = await session.run_plan(plan, runtime)
        if not code and not session.is_dry_run:
            await _remember(session, runtime, project, down_options)
        return code


async def _remember(session: Session, runtime: Runtime, project: str, options: DownOptions) -> None:
    """The history goes with the volumes; services that were taken down alone are noted in it."""
    from stackr.cli.history import forget, if_possible, record_removal

    if options.services:
        with if_possible(session.view):
            await record_removal(runtime, project, "down")
    elif options.volumes:
        await forget(runtime, project)
