"""`stackr start`, `stop`, `restart`, `pause`, `unpause`, `kill` and `rm`: of what exists."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from stackr.cli.arguments import (
    Targets,
    is_set,
    parse_signal,
    split_targets,
)
from stackr.cli.flags import Timeout, Wait, WaitTimeout, Words
from stackr.cli.options import options_of
from stackr.cli.project import declared, project_name
from stackr.cli.session import Session, open_session
from stackr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from stackr.planner.observed import Observed
    from stackr.planner.plan import Plan
    from stackr.planner.restarting import Optional
    from stackr.runtime.protocol import Runtime

__all__ = ["kill", "pause", "restart", "rm", "start", "stop", "unpause"]


def start(
    ctx: typer.Context,
    words: Words = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
) -> int:
    """Start existing containers."""
    from stackr.planner.restarting import plan_start

    return _run(
        ctx,
        words,
        lambda observed, services, optional: plan_start(
            observed, services, optional=optional, wait=wait, wait_timeout_s=wait_timeout
        ),
        needs_containers=True,
    )


def stop(ctx: typer.Context, words: Words = None, timeout: Timeout = None) -> int:
    """Stop running containers, and keep them."""
    from stackr.planner.lifecycle import plan_stop

    return _run(
        ctx, words, lambda observed, services, _: plan_stop(observed, services, timeout_s=timeout)
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
    from stackr.planner.restarting import plan_restart

    return _run(
        ctx,
        words,
        lambda observed, services, optional: plan_restart(
            observed, services, optional=optional, timeout_s=timeout, no_deps=no_deps
        ),
    )


def pause(ctx: typer.Context, words: Words = None) -> int:
    """Freeze running containers, with what they hold in memory."""
    from stackr.planner.lifecycle import plan_pause

    return _run(ctx, words, lambda observed, services, _: plan_pause(observed, services))


def unpause(ctx: typer.Context, words: Words = None) -> int:
    """Let paused containers go on."""
    from stackr.planner.lifecycle import plan_unpause

    return _run(ctx, words, lambda observed, services, _: plan_unpause(observed, services))


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
    from stackr.planner.lifecycle import plan_kill

    name = parse_signal(signal)
    return _run(
        ctx,
        words,
        lambda observed, services, _: plan_kill(observed, services, signal=name),
        with_orphans=remove_orphans or is_set("COMPOSE_REMOVE_ORPHANS"),
        with_oneoffs=True,
        nothing="No container to kill",
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
    from stackr.planner.lifecycle import plan_remove

    asks = not force and not options_of(ctx).dry_run
    if asks and not sys.stdin.isatty():
        raise InvalidArgument("rm: there is no terminal to ask at", hint="use --force")
    return _run(
        ctx,
        words,
        lambda observed, services, _: plan_remove(
            observed, services, stop=stop_first, volumes=volumes
        ),
        confirm="remove" if asks else None,
        removes=True,
        nothing="No stopped containers",
    )


def _run(
    ctx: typer.Context,
    words: list[str] | None,
    make: Callable[[Observed, tuple[str, ...], Optional], Plan],
    *,
    needs_containers: bool = False,
    with_oneoffs: bool = False,
    with_orphans: bool = False,
    confirm: str | None = None,
    removes: bool = False,
    nothing: str = "",
) -> int:
    """Plan over the containers of the services named, and carry it out.

    Where there is a stack file, containers of services that it has not, or whose profile is off,
    are left alone, as with Docker Compose.
    with_oneoffs: the containers of `run` count. with_orphans: those of any service. confirm: the
    verb to ask about. removes: the history takes note of it. nothing: what is said where there is
    nothing to do.
    """
    from stackr.planner.observed import observe
    from stackr.planner.plan import Plan

    options, targets = options_of(ctx), split_targets(words)
    file = declared(options, targets)
    name = project_name(options) if file is None else file.name
    optional = file.optional if file is not None else ()

    async def work(session: Session, runtime: Runtime) -> int:
        async with session.locked(runtime, name):
            observed = await observe(runtime, name)
            if file is not None and not with_orphans:
                observed = observed.only(file.services)
            services = _there(observed, targets, needs_containers, with_oneoffs)
            plan = Plan(name) if services is None else make(observed, services, optional)
            if plan.is_empty and nothing:
                session.view.message(nothing)
            if confirm and not plan.is_empty and not _is_confirmed(plan, confirm):
                return 0
            code = await session.run_plan(plan, runtime)
            if removes and not code and not session.is_dry_run:
                from stackr.cli.history import if_possible, record_removal

                with if_possible(session.view):
                    await record_removal(runtime, name, "rm")
            return code

    with open_session(options) as session:
        return session.on_engine(lambda runtime: work(session, runtime))


def _there(
    observed: Observed, targets: Targets, needs_containers: bool, with_oneoffs: bool
) -> tuple[str, ...] | None:
    """The named services that have containers, () for all that have; None where none has."""
    from stackr.planner.observed import service_of

    containers = [*observed.containers, *(observed.oneoffs if with_oneoffs else ())]
    found = {service_of(container) for container in containers}
    services = tuple(name for name in targets.services if name in found)
    if found and (services or not targets.services):
        return services
    if needs_containers:
        whose = f'service "{targets.services[0]}"' if targets.services else observed.project
        raise NotFound(f"{whose} has no containers", hint="create them with stackr up")
    return None


def _is_confirmed(plan: Plan, verb: str) -> bool:
    names = ", ".join(change.resource.name for change in plan.changes)
    return typer.confirm(f"Going to {verb} {names}: are you sure?", err=True)
