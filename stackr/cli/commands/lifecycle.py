"""`stackr start`, `stop`, `restart`, `pause`, `unpause`, `kill` and `rm`: of what exists."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stackr.cli.arguments import (
    is_set,
    parse_signal,
    split_targets,
)
from stackr.cli.flags import Timeout, Wait, WaitTimeout, Words
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.source import source_of
from stackr.errors import InvalidArgument
from stackr.planner.commands.lifecycle import (
    plan_kill,
    plan_pause,
    plan_remove,
    plan_stop,
    plan_unpause,
)
from stackr.planner.commands.restarting import plan_restart, plan_start
from stackr.planner.plan.model import Plan
from stackr.stack.lifecycle import Change, change

__all__ = ["kill", "pause", "restart", "rm", "start", "stop", "unpause"]


def start(
    ctx: typer.Context,
    words: Words = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
) -> int:
    """Start existing containers."""
    return _run(
        ctx,
        words,
        Change(
            lambda observed, services, optional: plan_start(
                observed, services, optional=optional, wait=wait, wait_timeout_s=wait_timeout
            ),
            needs_containers=True,
        ),
    )


def stop(ctx: typer.Context, words: Words = None, timeout: Timeout = None) -> int:
    """Stop running containers, and keep them."""
    return _run(
        ctx,
        words,
        Change(lambda observed, services, _: plan_stop(observed, services, timeout_s=timeout)),
    )


def restart(
    ctx: typer.Context,
    words: Words = None,
    timeout: Timeout = None,
    no_deps: Annotated[
        bool, typer.Option("--no-deps", help="Not what depends on them with restart: true")
    ] = False,
) -> int:
    """Stop and start containers."""
    return _run(
        ctx,
        words,
        Change(
            lambda observed, services, optional: plan_restart(
                observed, services, optional=optional, timeout_s=timeout, no_deps=no_deps
            ),
        ),
    )


def pause(ctx: typer.Context, words: Words = None) -> int:
    """Freeze running containers, with what they hold in memory."""
    return _run(ctx, words, Change(lambda observed, services, _: plan_pause(observed, services)))


def unpause(ctx: typer.Context, words: Words = None) -> int:
    """Let paused containers go on."""
    return _run(ctx, words, Change(lambda observed, services, _: plan_unpause(observed, services)))


def kill(
    ctx: typer.Context,
    words: Words = None,
    signal: Annotated[
        str, typer.Option("--signal", "-s", metavar="SIGNAL", help="Name or number")
    ] = "SIGKILL",
    remove_orphans: Annotated[
        bool,
        typer.Option("--remove-orphans", help="Containers of services that are gone as well"),
    ] = False,
) -> int:
    """Send a signal to containers, those of run among them."""
    name = parse_signal(signal)
    return _run(
        ctx,
        words,
        Change(
            lambda observed, services, _: plan_kill(observed, services, signal=name),
            with_orphans=remove_orphans or is_set("COMPOSE_REMOVE_ORPHANS"),
            with_oneoffs=True,
            nothing="No container to kill",
        ),
    )


def rm(
    ctx: typer.Context,
    words: Words = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask")] = False,
    stop_first: Annotated[bool, typer.Option("--stop", "-s", help="Stop them first")] = False,
    volumes: Annotated[
        bool, typer.Option("--volumes", "-v", help="Remove their anonymous volumes as well")
    ] = False,
) -> int:
    """Remove stopped containers."""
    asks = not force and not options_of(ctx).dry_run
    if asks and not sys.stdin.isatty():
        raise InvalidArgument("rm: there is no terminal to ask at", hint="use --force")
    return _run(
        ctx,
        words,
        Change(
            lambda observed, services, _: plan_remove(
                observed, services, stop=stop_first, volumes=volumes
            ),
            confirm=_is_confirmed if asks else None,
            removes=True,
            nothing="No stopped containers",
        ),
    )


def _run(ctx: typer.Context, words: list[str] | None, wanted: Change) -> int:
    options, targets = options_of(ctx), split_targets(words)
    source = source_of(options, targets.files)
    file = source.declared(targets.services)
    name = source.name() if file is None else file.name
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: change(session.context(), runtime, name, targets.services, file, wanted)
        ).exit_code


def _is_confirmed(plan: Plan) -> bool:
    names = ", ".join(change.resource.name for change in plan.changes)
    return typer.confirm(f"Going to remove {names}: are you sure?", err=True)
