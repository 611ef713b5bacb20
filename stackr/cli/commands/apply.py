"""`stackr apply`: carry out a plan that `stackr diff --out` has written, and nothing else."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from stackr.cli.flags import Timeout, Wait, WaitTimeout
from stackr.cli.options import GlobalOptions, options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.errors import InvalidArgument, StackrError
from stackr.planner.saved import options_of as saved_options
from stackr.planner.saved import unsealed
from stackr.stack.converge import converge
from stackr.stack.goal import Goal
from stackr.stack.planning import desire
from stackr.text import parse_json

__all__ = ["apply"]

_MAX_BYTES = 64 << 20


def apply(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PLAN")],
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
    timeout: Timeout = None,
    atomic: Annotated[
        bool,
        typer.Option("--atomic", help="Wait until all is ready; go back if anything fails"),
    ] = False,
) -> int:
    """Carry out a saved plan; refuse if the stack or the engine has changed since it was made."""
    document = _read(path)
    with open_session(options_of(ctx)) as session:
        try:
            goal = _goal(session, document)
        except (KeyError, TypeError) as error:
            raise InvalidArgument(f"{path}: the plan is damaged", hint=_HINT) from error
        options = replace(
            goal.options,
            wait=wait,
            wait_timeout_s=wait_timeout,
            timeout_s=timeout,
            atomic=atomic,
        )
        goal = replace(goal, options=options, saved=document)
        return session.on_engine(
            lambda runtime: converge(session.context(), runtime, goal)
        ).exit_code


def _read(path: str) -> dict[str, Any]:
    try:
        data = sys.stdin.buffer.read(_MAX_BYTES) if path == "-" else _bytes(path)
        return unsealed(parse_json(data))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StackrError(f"{path}: {reason}") from error
    except ValueError as error:
        raise InvalidArgument(f"{path}: it is not JSON", hint=_HINT) from error
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}: {error.message}", hint=error.hint or _HINT) from error


_HINT = "a plan is written by: stackr diff --out plan.json"


def _bytes(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_MAX_BYTES)


def _goal(session: Session, document: dict[str, Any]) -> Goal:
    """The stack that the plan was made from, as its files are now."""
    command = document["command"]
    options = saved_options(document)
    shared = _shared(session.options, command)
    project = source_of(shared).load(options.services)
    return Goal(
        project,
        desire(project, options, engine=shared.engine, all_resources=shared.all_resources),
        options,
        action="apply",
    )


def _shared(options: GlobalOptions, command: dict[str, Any]) -> GlobalOptions:
    """The options with which the stack was loaded; the engine is the one that is named now."""
    shared = GlobalOptions(
        files=list(command["files"]),
        project_name=command["project_name"],
        project_directory=command["project_directory"],
        profiles=list(command["profiles"]),
        env_files=list(command["env_files"]),
        engine=options.engine,
    )
    if options.files or options.project_directory or options.profiles or options.env_files:
        raise InvalidArgument(
            "apply: the plan says which stack it is for: --file, --profile, --env-file and "
            "--project-directory cannot be given"
        )
    return shared
