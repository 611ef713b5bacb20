"""`stackr start`, `stop`, `restart`, `pause`, `unpause`, `kill` and `rm`: of what exists."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import typer

from stackr.cli.arguments import parse_signal
from stackr.cli.declared import Group, Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.errors import InvalidArgument
from stackr.options import Option
from stackr.planner.commands.lifecycle import (
    plan_kill,
    plan_pause,
    plan_remove,
    plan_stop,
    plan_unpause,
)
from stackr.planner.commands.restarting import plan_restart, plan_start
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.runtime.workloads import Workloads
from stackr.stack.context import Context
from stackr.stack.lifecycle import Change, change
from stackr.stack.result import Result
from stackr.stack.workloads.converge import restart_on_cluster

__all__ = ["kill", "pause", "restart", "rm", "start", "stop", "unpause"]


@dataclass(frozen=True, slots=True)
class StartArguments:
    """`stackr start`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    options: Annotated[UpOptions, Group(("wait", "wait_timeout_s"))] = field(
        default_factory=UpOptions
    )


@takes(StartArguments)
def start(ctx: typer.Context, arguments: StartArguments) -> int:
    """Start existing containers."""
    options = arguments.options
    return _run(
        ctx,
        arguments.targets,
        Change(
            lambda observed, services, optional: plan_start(
                observed,
                services,
                optional=optional,
                wait=options.wait,
                wait_timeout_s=options.wait_timeout_s,
            ),
            needs_containers=True,
        ),
    )


@dataclass(frozen=True, slots=True)
class StopArguments:
    """`stackr stop`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    options: Annotated[DownOptions, Group(("timeout_s",))] = field(default_factory=DownOptions)


@takes(StopArguments)
def stop(ctx: typer.Context, arguments: StopArguments) -> int:
    """Stop running containers, and keep them."""
    return _run(
        ctx,
        arguments.targets,
        Change(
            lambda observed, services, _: plan_stop(
                observed, services, timeout_s=arguments.options.timeout_s
            )
        ),
    )


@dataclass(frozen=True, slots=True)
class RestartArguments:
    """`stackr restart`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    options: Annotated[
        UpOptions,
        Group(
            ("timeout_s", "no_deps"),
            {"--no-deps": "Not what depends on them with restart: true"},
        ),
    ] = field(default_factory=UpOptions)


@takes(RestartArguments)
def restart(ctx: typer.Context, arguments: RestartArguments) -> int:
    """Stop and start containers."""
    options = arguments.options
    return _run(
        ctx,
        arguments.targets,
        Change(
            lambda observed, services, optional: plan_restart(
                observed,
                services,
                optional=optional,
                timeout_s=options.timeout_s,
                no_deps=options.no_deps,
            ),
        ),
        restart_on_cluster,
    )


@dataclass(frozen=True, slots=True)
class PauseArguments:
    """`stackr pause` and `unpause`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)


@takes(PauseArguments)
def pause(ctx: typer.Context, arguments: PauseArguments) -> int:
    """Freeze running containers, with what they hold in memory."""
    return _run(
        ctx, arguments.targets, Change(lambda observed, services, _: plan_pause(observed, services))
    )


@takes(PauseArguments)
def unpause(ctx: typer.Context, arguments: PauseArguments) -> int:
    """Let paused containers go on."""
    return _run(
        ctx,
        arguments.targets,
        Change(lambda observed, services, _: plan_unpause(observed, services)),
    )


@dataclass(frozen=True, slots=True)
class KillArguments:
    """`stackr kill`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    signal: Annotated[str, Option("--signal", "-s", metavar="SIGNAL", help="Name or number")] = (
        "SIGKILL"
    )
    options: Annotated[
        DownOptions,
        Group(
            ("remove_orphans",),
            {"--remove-orphans": "Containers of services that are gone as well"},
        ),
    ] = field(default_factory=DownOptions)


@takes(KillArguments)
def kill(ctx: typer.Context, arguments: KillArguments) -> int:
    """Send a signal to containers, those of run among them."""
    name = parse_signal(arguments.signal)
    return _run(
        ctx,
        arguments.targets,
        Change(
            lambda observed, services, _: plan_kill(observed, services, signal=name),
            with_orphans=arguments.options.remove_orphans,
            with_oneoffs=True,
            nothing="No container to kill",
        ),
    )


@dataclass(frozen=True, slots=True)
class RmArguments:
    """`stackr rm`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    force: Annotated[bool, Option("--force", "-f", help="Do not ask")] = False
    stop: Annotated[bool, Option("--stop", "-s", help="Stop them first")] = False
    volumes: Annotated[
        bool, Option("--volumes", "-v", help="Remove their anonymous volumes as well")
    ] = False


@takes(RmArguments)
def rm(ctx: typer.Context, arguments: RmArguments) -> int:
    """Remove stopped containers."""
    asks = not arguments.force and not options_of(ctx).dry_run
    if asks and not sys.stdin.isatty():
        raise InvalidArgument("rm: there is no terminal to ask at", hint="use --force")
    return _run(
        ctx,
        arguments.targets,
        Change(
            lambda observed, services, _: plan_remove(
                observed, services, stop=arguments.stop, volumes=arguments.volumes
            ),
            confirm=_is_confirmed if asks else None,
            removes=True,
            nothing="No stopped containers",
        ),
    )


OnServices: TypeAlias = Callable[[Context, Workloads, str, tuple[str, ...]], Awaitable[Result]]
"""What a command does with the services of a cluster; () for all."""


def _run(
    ctx: typer.Context, targets: Targets, wanted: Change, on_cluster: OnServices | None = None
) -> int:
    options = options_of(ctx)
    source = source_of(options, targets.files)
    file = source.declared(targets.services)
    name = source.name() if file is None else file.name
    with open_session(options) as session:
        context = session.context()
        return session.on_engine(
            lambda runtime: change(context, runtime, name, targets.services, file, wanted),
            cluster=OnCluster(
                name, lambda cluster: on_cluster(context, cluster, name, targets.services)
            )
            if on_cluster is not None
            else None,
        ).exit_code


def _is_confirmed(plan: Plan) -> bool:
    names = ", ".join(change.resource.name for change in plan.changes)
    return typer.confirm(f"Going to remove {names}: are you sure?", err=True)
