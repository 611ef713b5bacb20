"""`stackr diff`: what `up` would do, field by field; nothing is changed."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import check_choice, parse_scale, split_targets
from stackr.cli.options import options_of
from stackr.cli.session import open_session

__all__ = ["diff"]

_CHANGES = 2


def diff(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE] [SERVICE]...", show_default=False)
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 2 when there are changes")
    ] = False,
    format_: Annotated[str, typer.Option("--format", metavar="KIND", help="text or json")] = "text",
    scale: Annotated[
        list[str] | None,
        typer.Option("--scale", metavar="SERVICE=NUM", help="Replicas of a service"),
    ] = None,
    remove_orphans: Annotated[
        bool, typer.Option("--remove-orphans", help="As up --remove-orphans would")
    ] = False,
    no_deps: Annotated[
        bool, typer.Option("--no-deps", help="Only the named services, not what they need")
    ] = False,
) -> int:
    """Show what up would change: each resource, each field, and why."""
    from stackr.cli.planning import desire, plan_up
    from stackr.cli.project import load_project
    from stackr.planner.options import UpOptions

    options, targets = options_of(ctx), split_targets(words)
    kind = check_choice("--format", "json" if options.json else format_, ("text", "json"))
    up_options = UpOptions(
        services=targets.services,
        scale=parse_scale(scale),
        remove_orphans=remove_orphans,
        no_deps=no_deps,
    )
    with open_session(options) as session:
        project = load_project(options, targets.files, services=targets.services)
        wanted = desire(project, up_options, options)
        plan = session.on_engine(lambda runtime: plan_up(runtime, wanted, up_options))
        session.show_plan(plan, as_json=kind == "json")
    return _CHANGES if exit_code and not plan.is_empty else 0
