"""`stackr apply`: carry out a plan that `stackr diff --out` has written, and nothing else."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from stackr.cli.declared import Argument, Group, takes
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.errors import InvalidArgument, StackrError
from stackr.planner.plan.options import UpOptions
from stackr.stack.converge import converge
from stackr.stack.saved import MAX_BYTES, parse_plan, saved_goal, saved_source

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
        goal = saved_goal(document, path, source, options.engine)
        up_options = replace(
            goal.options,
            wait=asked.wait,
            wait_timeout_s=asked.wait_timeout_s,
            timeout_s=asked.timeout_s,
            atomic=asked.atomic,
        )
        goal = replace(goal, options=up_options)
        return session.on_engine(
            lambda runtime: converge(session.context(), runtime, goal)
        ).exit_code


def _read(path: str) -> dict[str, Any]:
    try:
        if path == "-":
            return parse_plan(sys.stdin.buffer.read(MAX_BYTES), path)
        with Path(path).open("rb") as file:
            return parse_plan(file.read(MAX_BYTES), path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StackrError(f"{path}: {reason}") from error
