"""`stackr start`, `stop`, `restart`, `kill` and `rm`: of containers that exist."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from stackr.cli.arguments import Targets, check_not_negative, parse_signal, split_targets
from stackr.cli.options import options_of
from stackr.cli.project import check_services, project_name
from stackr.cli.session import Session, open_session
from stackr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from stackr.planner.observed import Observed
    from stackr.planner.plan import Plan
    from stackr.runtime.protocol import Runtime

__all__ = ["kill", "restart", "rm", "start", "stop"]

Words = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE] [SERVICE]...", show_default=False)
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", "-t", metavar="SECONDS", help="For containers to stop")
]


def start(
    ctx: typer.Context,
    words: Words = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all are running or healthy")
    ] = False,
    wait_timeout: Annotated[
        float | None,
        typer.Option("--wait-timeout", metavar="SECONDS", help="How long to wait at most"),
    ] = None,
) -> int:
    """Start existing containers."""
    from stackr.planner.lifecycle import plan_start

    check_not_negative("--wait-timeout", wait_timeout)
    return _run(
        ctx,
        words,
        lambda observed, services: plan_start(
            observed, services, wait=wait, wait_timeout_s=wait_timeout
        ),
        needs_containers=True,
    )


def stop(ctx: typer.Context, words: Words = None, timeout: Timeout = None) -> int:
    """Stop running containers, and keep them."""
    from stackr.planner.lifecycle import plan_stop

    check_not_negative("--timeout", timeout)
    return _run(
        ctx, words, lambda observed, services: plan_stop(observed, services, timeout_s=timeout)
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
    from stackr.planner.lifecycle import plan_restart

    check_not_negative("--timeout", timeout)
    return _run(
        ctx,
        words,
        lambda observed, services: plan_restart(
            observed, services, timeout_s=timeout, no_deps=no_deps
        ),
        needs_containers=True,
    )


def kill(
    ctx: typer.Context,
    words: Words = None,
    signal: Annotated[
        str, typer.Option("--signal", "-s", metavar="SIGNAL", help="Name or number")
    ] = "SIGKILL",
) -> int:
    """Send a signal to containers."""
    from stackr.planner.lifecycle import plan_kill

    name = parse_signal(signal)
    return _run(ctx, words, lambda observed, services: plan_kill(observed, services, signal=name))


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

    if not force and not sys.stdin.isatty():
        raise InvalidArgument("rm: there is no terminal to ask at", hint="use --force")
    return _run(
        ctx,
        words,
        lambda observed, services: plan_remove(
            observed, services, stop=stop_first, volumes=volumes
        ),
        confirm=None if force else "remove",
    )


def _run(
    ctx: typer.Context,
    words: list[str] | None,
    make: Callable[[Observed, tuple[str, ...]], Plan],
    *,
    needs_containers: bool = False,
    confirm: str | None = None,
) -> int:
    """Plan over the containers of the services named, and carry it out."""
    options, targets = options_of(ctx), split_targets(words)
    name = project_name(options, targets.files)
    check_services(options, targets)
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: _plan_and_run(
                session, runtime, name, targets, make, needs_containers, confirm
            )
        )


async def _plan_and_run(
    session: Session,
    runtime: Runtime,
    project: str,
    targets: Targets,
    make: Callable[[Observed, tuple[str, ...]], Plan],
    needs_containers: bool,
    confirm: str | None,
) -> int:
    from stackr.planner.observed import observe

    async with session.locked(project):
        observed = await observe(runtime, project)
        services = tuple(name for name in targets.services if observed.of_service(name))
        if not observed.containers or (targets.services and not services):
            if needs_containers:
                whose = f'service "{targets.services[0]}"' if targets.services else project
                raise NotFound(f"{whose} has no containers", hint="create them with stackr up")
            return 0
        plan = make(observed, services)
        if confirm and not plan.is_empty and not _is_confirmed(plan, confirm):
            return 0
        return await session.run_plan(plan, runtime)


def _is_confirmed(plan: Plan, verb: str) -> bool:
    names = ", ".join(change.resource.name for change in plan.changes)
    return typer.confirm(f"{verb} {names}?", err=True)
