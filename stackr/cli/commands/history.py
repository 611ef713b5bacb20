"""`stackr history`: the revisions of a stack that its engine keeps; `stackr rollback` to one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice, split_targets
from stackr.cli.declared import Argument, Group, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.moments import local
from stackr.cli.views.plan_words import counted
from stackr.cli.views.table import table
from stackr.cli.views.units import age
from stackr.cli.views.wrap import wrapped
from stackr.errors import InvalidArgument
from stackr.options import Option
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.stack.converge import converge, foresee
from stackr.stack.diff import History, host_history
from stackr.stack.rollback import rollback_goal
from stackr.stack.workloads.converge import converge_cluster, foresee_cluster, goal_of_revision
from stackr.stack.workloads.diff import cluster_history

__all__ = ["history", "listed", "rollback"]

_LISTED = 3


@dataclass(frozen=True, slots=True)
class HistoryArguments:
    """`stackr history`. words: stack files, and the number of one revision."""

    words: Annotated[tuple[str, ...], Argument("[FILE] [REVISION]")] = ()
    diff: Annotated[
        bool, Option("--diff", help="Only what the revision changed; the newest one by default")
    ] = False
    form: Annotated[
        str, Option("--format", metavar="KIND", help="table or json; of one, its plan as JSON")
    ] = "table"

    def __post_init__(self) -> None:
        check_choice("--format", self.form, ("table", "json"))
        if len(self._numbers) > 1:
            raise InvalidArgument("history: one revision is expected")

    @property
    def _numbers(self) -> list[int]:
        return [int(word) for word in self.words if word.isascii() and word.isdecimal()]

    @property
    def number(self) -> int | None:
        """The one revision that is asked for; 0 for the newest, None for all."""
        return self._numbers[0] if self._numbers else (0 if self.diff else None)

    @property
    def files(self) -> tuple[str, ...]:
        """Raises InvalidArgument for a word that is neither a file nor a number."""
        targets = split_targets(word for word in self.words if not word.isdecimal())
        for word in targets.services:
            raise InvalidArgument(f'history: "{word}": a stack file or a revision is expected')
        return targets.files


@takes(HistoryArguments)
def history(ctx: typer.Context, arguments: HistoryArguments) -> int:
    """List the stack's revisions, the newest first; or show what one of them changed."""
    options = options_of(ctx)
    is_json = options.json or arguments.form == "json"
    name = source_of(options, arguments.files).name()
    with open_session(options) as session:
        found = session.look(
            lambda runtime: host_history(runtime, name, options.engine),
            cluster=OnCluster(name, lambda cluster: cluster_history(cluster, name)),
        )
        newest = found.revisions[::-1]
        if arguments.number is not None:
            _show_one(session, found, arguments, is_json=is_json)
        elif is_json:
            told = [revision.to_json() for revision in newest]
            session.out.line(json.dumps(told, indent=2))
        else:
            for line in listed(newest, session.out.width if session.out.is_terminal else 0):
                session.out.line(line)
    return 0


def _show_one(
    session: Session, found: History, arguments: HistoryArguments, *, is_json: bool
) -> None:
    """A revision, and what it changed against the one before."""
    number = arguments.number or max((each.number for each in found.revisions), default=1)
    plan = found.changes(number)
    if not is_json and not arguments.diff:
        for line in _described(next(each for each in found.revisions if each.number == number)):
            session.out.line(line)
    session.show_plan(plan, "json" if is_json else "text")


def _described(revision: Revision) -> list[str]:
    when = local(revision.at).isoformat(" ", "seconds")
    rows = (
        ("revision", f"{revision.number}, {revision.status}"),
        ("when", f"{when}, {age(time.time() - revision.at)} ago"),
        ("by", revision.by),
        ("action", revision.action),
        ("commit", revision.commit),
        ("services", ", ".join(revision.services)),
        ("config", revision.model[:12]),
    )
    return [f"{name + ':':<10}{value}" for name, value in rows if value] + [""]


def listed(revisions: Sequence[Revision], width: int) -> list[str]:
    """A table; where a terminal is too narrow for it, some lines for each. width: 0 for no end."""
    lines = _table(revisions)
    if not width or max(map(len, lines)) <= width:
        return lines
    return [line for revision in revisions for line in _lines(revision, width)]


def _lines(revision: Revision, width: int) -> Iterator[str]:
    """`3  up by ann@laptop, 2 minutes ago`, and below what it changed, and of which services."""
    when, first = age(time.time() - revision.at), f"{revision.number:<3}"
    head = f"{revision.action} by {revision.by}, {when} ago, {revision.status}"
    if revision.commit:
        head += f", commit {revision.commit}"
    below = " " * len(first)
    yield from wrapped(head, width, first=first, rest=below)
    for text in (counted(revision.summary), ", ".join(revision.services)):
        if text:
            yield from wrapped(text, width, first=below, rest=below)


def _table(revisions: Sequence[Revision]) -> list[str]:
    rows = [
        (
            str(revision.number),
            f"{age(time.time() - revision.at)} ago",
            revision.by,
            revision.action,
            revision.status,
            counted(revision.summary),
            _few(revision.services),
            revision.commit or "-",
            revision.model[:12],
        )
        for revision in revisions
    ]
    headings = ("REVISION", "WHEN", "BY", "ACTION", "STATUS", "CHANGES", "SERVICES", "COMMIT")
    return table((*headings, "CONFIG"), rows)


def _few(names: Sequence[str]) -> str:
    more = f" +{len(names) - _LISTED}" if len(names) > _LISTED else ""
    return (",".join(names[:_LISTED]) + more) or "-"


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
            lambda runtime: _rollback(session, runtime, name, number, up_options),
            cluster=OnCluster(
                name,
                lambda cluster: _rollback_cluster(session, cluster, name, number, up_options),
            ),
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


async def _rollback_cluster(
    session: Session, cluster: Workloads, name: str, number: int | None, up_options: UpOptions
) -> int:
    goal = await goal_of_revision(cluster, name, number, up_options)
    if session.is_dry_run:
        plan, _ = await foresee_cluster(cluster, goal)
        session.show_plan(plan, "json" if session.is_json else "text")
        return 0
    context = session.context()
    context.message(goal.announcement)
    return (await converge_cluster(context, cluster, goal)).exit_code
