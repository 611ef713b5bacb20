"""`stackr history`: the revisions of a stack that its engine keeps; `stackr rollback` to one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice, split_targets
from stackr.cli.declared import Argument, Group, takes
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.table import table
from stackr.cli.views.units import age
from stackr.errors import InvalidArgument
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.converge import converge, foresee
from stackr.stack.history import read_history
from stackr.stack.rollback import rollback_goal

__all__ = ["history", "rollback"]


def history(
    ctx: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[FILE]", show_default=False)] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="KIND", help="table or json")
    ] = "table",
) -> int:
    """List the revisions of the stack that the engine keeps, the newest first."""
    options = options_of(ctx)
    kind = check_choice("--format", "json" if options.json else format_, ("table", "json"))
    name = source_of(options, split_targets(words).files).name()
    with open_session(options) as session:
        found = session.look(lambda runtime: read_history(runtime, name))
        newest = found[::-1]
        if kind == "json":
            session.out.line(json.dumps([revision.to_json() for revision in newest], indent=2))
            return 0
        for line in _table(newest):
            session.out.line(line)
    return 0


def _table(revisions: Sequence[Revision]) -> list[str]:
    rows = [
        (
            str(revision.number),
            f"{age(time.time() - revision.at)} ago",
            revision.by,
            revision.action,
            revision.status,
            ", ".join(f"{count} to {kind}" for kind, count in revision.summary.items()),
            revision.model[:12],
        )
        for revision in revisions
    ]
    return table(("REVISION", "WHEN", "BY", "ACTION", "STATUS", "CHANGES", "CONFIG"), rows)


@dataclass(frozen=True, slots=True)
class RollbackArguments:
    """`stackr rollback`. revision: None for the one before the last."""

    revision: Annotated[int | None, Argument("[REVISION]")] = None
    options: Annotated[UpOptions, Group(("timeout_s", "wait", "wait_timeout_s"))] = field(
        default_factory=UpOptions
    )


@takes(RollbackArguments)
def rollback(ctx: typer.Context, arguments: RollbackArguments) -> int:
    """Bring the stack back to an earlier revision: the one before, or REVISION."""
    number = arguments.revision
    if number is not None and number < 1:
        raise InvalidArgument(f"{number}: a revision's number is expected, from 1")
    options = options_of(ctx)
    name = source_of(options).name()
    up_options = replace(arguments.options, remove_orphans=True)
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: _rollback(session, runtime, name, number, up_options)
        )


async def _rollback(
    session: Session,
    runtime: Runtime,
    name: str,
    number: int | None,
    up_options: UpOptions,
) -> int:
    context = session.context()
    goal = await rollback_goal(context, runtime, name, number, up_options)
    if session.is_dry_run:
        plan = await foresee(runtime, goal)
        session.show_plan(plan, "json" if session.is_json else "text")
        return 0
    context.message(goal.announcement)
    return (await converge(context, runtime, goal)).exit_code
