"""`stackr watch`: the stack is brought up, and changed source files go into its containers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.options import Option
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.converge import converge, foresee
from stackr.stack.goal import Goal
from stackr.stack.planning import desire
from stackr.stack.watch.follow import follow
from stackr.stack.watch.rules import WatchRules, watch_rules

__all__ = ["watch"]


@dataclass(frozen=True, slots=True)
class WatchArguments:
    """`stackr watch`. prune: images that a build replaced are removed."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    no_up: Annotated[
        bool, Option("--no-up", help="The services run already: do not start them")
    ] = False
    prune: Annotated[
        bool, Option("--prune/--no-prune", help="Remove images that a build replaced")
    ] = True
    quiet: Annotated[bool, Option("--quiet", help="Do not show how far pulls are")] = False


@takes(WatchArguments)
def watch(ctx: typer.Context, arguments: WatchArguments) -> int:
    """Follow changes of source files, as `develop.watch` in the stack file says."""
    options, targets = options_of(ctx), arguments.targets
    project = source_of(options, targets.files).load(targets.services)
    rules = watch_rules(project)
    up_options = UpOptions(services=targets.services)
    goal = Goal(
        project,
        desire(project, up_options, engine=options.engine, all_resources=options.all_resources),
        up_options,
    )
    with open_session(options) as session:
        told = session.quieter(pulls=arguments.quiet, builds=arguments.quiet)
        return session.on_engine(lambda runtime: _watch(told, runtime, rules, goal, arguments))


async def _watch(
    session: Session, runtime: Runtime, rules: WatchRules, goal: Goal, arguments: WatchArguments
) -> int:
    """Bring the goal up, unless it is, and follow the changes until it is interrupted."""
    if session.is_dry_run:
        if not arguments.no_up:
            session.show_plan(await foresee(runtime, goal), "json" if session.is_json else "text")
        for path in rules.paths:
            session.would(f"watch {path}")
        return 0
    context = session.context()
    if not arguments.no_up:
        result = await converge(context, runtime, goal)
        if not result.is_success:
            return result.exit_code
    await follow(context, runtime, goal, rules, session.log_lines(), prune=arguments.prune)
    return 0
