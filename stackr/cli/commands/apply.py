"""`stackr apply`: carry out a plan that `stackr diff --out` has written, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import typer

from stackr.cli.declared import Argument, Group, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.errors import InvalidArgument
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.saved import options_of as planned_options
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.stack.converge import converge
from stackr.stack.goal import Goal
from stackr.stack.saved import MAX_BYTES, parse_plan, read_plan, saved_goal, saved_source
from stackr.stack.source import Source
from stackr.stack.workloads.converge import converge_cluster, up_goal

__all__ = ["apply"]


@dataclass(frozen=True, slots=True)
class ApplyArguments:
    """`stackr apply`. plan: its file, or "-" for stdin."""

    plan: Annotated[str, Argument("PLAN")]
    options: Annotated[UpOptions, Group(("wait", "wait_timeout_s", "timeout_s", "atomic"))] = field(
        default_factory=UpOptions
    )


@takes(ApplyArguments)
def apply(ctx: typer.Context, arguments: ApplyArguments) -> int:
    """Carry out a saved plan; refuse if the stack or the engine has changed since it was made."""
    path, asked = arguments.plan, arguments.options
    document = _read(path)
    options = options_of(ctx)
    if options.files or options.project_directory or options.profiles or options.env_files:
        raise InvalidArgument(
            "apply: the plan says which stack it is for: --file, --profile, --env-file and "
            "--project-directory cannot be given"
        )
    source = saved_source(document, path)
    with open_session(options) as session:
        goal = session.prepared(lambda: saved_goal(document, path, source, options.engine))
        project = str(document["plan"]["project"])
        return session.on_engine(
            lambda runtime: _apply(session, runtime, asked, goal()),
            cluster=OnCluster(
                project,
                lambda cluster: _apply_on(session, cluster, asked, document, source),
            ),
        )


async def _apply(session: Session, runtime: Runtime, asked: UpOptions, goal: Goal) -> int:
    goal = replace(goal, options=_as_asked(goal.options, asked))
    return (await converge(session.context(), runtime, goal)).exit_code


async def _apply_on(
    session: Session,
    cluster: Workloads,
    asked: UpOptions,
    document: Mapping[str, Any],
    source: Source,
) -> int:
    options = _as_asked(planned_options(document), asked)
    project = replace(source, engine=session.options.engine).load(options.services)
    goal = up_goal(cluster, project, options)
    goal = replace(goal, action="apply", saved=document)
    return (await converge_cluster(session.context(), cluster, goal)).exit_code


def _as_asked(planned: UpOptions, asked: UpOptions) -> UpOptions:
    return replace(
        planned,
        wait=asked.wait,
        wait_timeout_s=asked.wait_timeout_s,
        timeout_s=asked.timeout_s,
        atomic=asked.atomic,
    )


def _read(path: str) -> dict[str, Any]:
    if path == "-":
        return parse_plan(sys.stdin.buffer.read(MAX_BYTES), path)
    return read_plan(path)[0]
