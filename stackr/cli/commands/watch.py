"""`stackr watch`: the stack is brought up, and changed source files go into its containers."""

from __future__ import annotations

from typing import Annotated

import typer

from stackr.cli.arguments import split_targets
from stackr.cli.flags import Words
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.converge import converge, foresee
from stackr.stack.goal import Goal
from stackr.stack.planning import desire
from stackr.stack.watch.follow import follow
from stackr.stack.watch.rules import WatchRules, watch_rules

__all__ = ["watch"]


def watch(
    ctx: typer.Context,
    words: Words = None,
    no_up: Annotated[
        bool, typer.Option("--no-up", help="The services run already: do not start them")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune/--no-prune",
            show_default=False,
            help="Remove images that a build replaced",
        ),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not show how far pulls are")] = False,
) -> int:
    """Follow changes of source files, as `develop.watch` in the stack file says."""
    options, targets = options_of(ctx), split_targets(words)
    project = source_of(options, targets.files).load(targets.services)
    rules = watch_rules(project)
    up_options = UpOptions(services=targets.services)
    goal = Goal(
        project,
        desire(project, up_options, engine=options.engine, all_resources=options.all_resources),
        up_options,
    )
    with open_session(options) as session:
        told = session.quieter(pulls=quiet, builds=quiet)
        return session.on_engine(
            lambda runtime: _watch(told, runtime, rules, goal, is_up=no_up, prune=prune)
        )


async def _watch(
    session: Session, runtime: Runtime, rules: WatchRules, goal: Goal, *, is_up: bool, prune: bool
) -> int:
    """Bring the goal up, unless it is, and follow the changes until it is interrupted."""
    if session.is_dry_run:
        if not is_up:
            session.show_plan(await foresee(runtime, goal), "json" if session.is_json else "text")
        for path in rules.paths:
            session.would(f"watch {path}")
        return 0
    context = session.context()
    if not is_up:
        result = await converge(context, runtime, goal)
        if not result.is_success:
            return result.exit_code
    await follow(context, runtime, goal, rules, session.log_lines(), prune=prune)
    return 0
