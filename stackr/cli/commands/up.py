"""`stackr up`: load the stack, plan what differs from what runs, do it, and show it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from stackr.cli.arguments import (
    is_set,
    parse_pull,
    parse_scale,
    parse_span,
    split_targets,
)
from stackr.cli.attached import run_attached, shown_output
from stackr.cli.flags import (
    Build,
    ForceRecreate,
    NoBuild,
    NoDeps,
    NoRecreate,
    Pull,
    QuietBuild,
    QuietPull,
    RecreateDependencies,
    RemoveOrphans,
    RenewAnonymousVolumes,
    Scale,
    Timeout,
    WaitTimeout,
    Words,
    Yes,
    refuse_builds,
)
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.up_arguments import UpArguments
from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.executor.operations import BeforeStart
from stackr.planner.lifecycle import plan_stop
from stackr.planner.observed import observe
from stackr.planner.options import UpOptions
from stackr.planner.plan import Plan
from stackr.runtime.protocol import Runtime
from stackr.spec.model.project import Project
from stackr.stack.converge import converge, foresee
from stackr.stack.goal import Goal
from stackr.stack.planning import desire
from stackr.stack.watch.follow import follow
from stackr.stack.watch.rules import WatchRules, watch_rules

__all__ = ["bring_up", "up"]


def up(
    ctx: typer.Context,
    words: Words = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all are running or healthy; implies -d")
    ] = False,
    wait_timeout: WaitTimeout = None,
    timeout: Timeout = None,
    scale: Scale = None,
    force_recreate: ForceRecreate = False,
    no_recreate: NoRecreate = False,
    remove_orphans: RemoveOrphans = False,
    pull: Pull = None,
    always_recreate_deps: RecreateDependencies = False,
    renew_anon_volumes: RenewAnonymousVolumes = False,
    no_deps: NoDeps = False,
    no_start: Annotated[
        bool, typer.Option("--no-start", help="Create the containers, and start none")
    ] = False,
    atomic: Annotated[
        bool,
        typer.Option("--atomic", help="Wait until all is ready; go back if anything fails"),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow changes of source files, as watch does")
    ] = False,
    quiet_pull: QuietPull = False,
    no_build: NoBuild = False,
    yes: Yes = False,
    build: Build = False,
    quiet_build: QuietBuild = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time went, and the longest chain")
    ] = False,
    menu: Annotated[bool, typer.Option("--menu", hidden=True)] = False,
    abort_on_exit: Annotated[
        bool,
        typer.Option("--abort-on-container-exit", help="Stop all when one container ends"),
    ] = False,
    abort_on_failure: Annotated[
        bool,
        typer.Option("--abort-on-container-failure", help="Stop all when one container fails"),
    ] = False,
    exit_code_from: Annotated[
        str | None,
        typer.Option("--exit-code-from", metavar="SERVICE", help="Exit as this service does"),
    ] = None,
    attach: Annotated[
        list[str] | None,
        typer.Option("--attach", metavar="SERVICE", help="Show only this service's output"),
    ] = None,
    attach_dependencies: Annotated[
        bool,
        typer.Option(
            "--attach-dependencies", help="Show the output of what the services need as well"
        ),
    ] = False,
    no_attach: Annotated[
        list[str] | None,
        typer.Option("--no-attach", metavar="SERVICE", help="Do not show this service's output"),
    ] = None,
    no_log_prefix: Annotated[
        bool, typer.Option("--no-log-prefix", help="No names before the lines of output")
    ] = False,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="Times before the lines of output")
    ] = False,
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="DURATION", help="Let the engine take it down after so long"),
    ] = None,
) -> int:
    """Create and start the stack, or bring what runs in line with the file."""
    refuse_builds("up", build=build, quiet_build=quiet_build)
    if menu:
        raise NotSupported("up: --menu: not supported: there are no shortcuts; use --watch")
    arguments = UpArguments(
        targets=split_targets(words),
        detach=detach,
        wait=wait,
        wait_timeout_s=wait_timeout,
        timeout_s=timeout,
        scale=parse_scale(scale),
        force_recreate=force_recreate,
        no_recreate=no_recreate,
        always_recreate_deps=always_recreate_deps,
        renew_anonymous_volumes=renew_anon_volumes,
        recreate_volumes=yes,
        remove_orphans=remove_orphans or is_set("COMPOSE_REMOVE_ORPHANS"),
        pull=parse_pull(pull),
        no_deps=no_deps,
        no_start=no_start,
        atomic=atomic,
        abort_on_exit=abort_on_exit,
        abort_on_failure=abort_on_failure,
        exit_code_from=exit_code_from,
        attach=tuple(attach or ()),
        attach_dependencies=attach_dependencies,
        watch=watch,
        no_attach=tuple(no_attach or ()),
        log_prefix=not no_log_prefix,
        timestamps=timestamps,
        ttl_s=parse_span("--ttl", ttl) if ttl is not None else None,
    )
    with open_session(options_of(ctx)) as session:
        session = session.with_profile() if profile else session
        return bring_up(session.without_pull_progress() if quiet_pull else session, arguments)


def bring_up(session: Session, arguments: UpArguments) -> int:
    targets = arguments.targets
    project = source_of(session.options, targets.files).load(targets.services)
    up_options = _up_options(arguments)
    wanted = desire(
        project,
        up_options,
        engine=session.options.engine,
        all_resources=session.options.all_resources,
    )
    for service in (arguments.exit_code_from, *arguments.no_attach):
        if service is not None and service not in wanted.services:
            raise InvalidArgument(f"no such service: {service}")
    if absent := [name for name in arguments.attach if name not in wanted.services]:
        raise InvalidArgument(f"cannot attach to services not included in up: {', '.join(absent)}")
    rules = _watch_rules(project) if arguments.watch else None
    goal = Goal(project, wanted, up_options, ttl_s=arguments.ttl_s)
    if session.is_dry_run:
        plan = session.on_engine(lambda runtime: foresee(runtime, goal), read_only=True)
        session.show_plan(plan, "json" if session.is_json else "text")
        return 0
    if arguments.is_attached:
        return asyncio.run(_attached(session, arguments, goal, rules))
    return session.on_engine(lambda runtime: _converge(session, runtime, goal))


def _up_options(arguments: UpArguments) -> UpOptions:
    return UpOptions(
        services=arguments.targets.services,
        no_deps=arguments.no_deps,
        scale=arguments.scale,
        recreate="force"
        if arguments.force_recreate
        else ("never" if arguments.no_recreate else "diverged"),
        recreate_dependencies=arguments.always_recreate_deps,
        renew_anonymous_volumes=arguments.renew_anonymous_volumes,
        recreate_volumes=arguments.recreate_volumes,
        remove_orphans=arguments.remove_orphans,
        pull=arguments.pull,
        start=not arguments.no_start,
        wait=arguments.wait,
        atomic=arguments.atomic,
        wait_timeout_s=arguments.wait_timeout_s,
        timeout_s=arguments.timeout_s,
    )


def _watch_rules(project: Project) -> WatchRules:
    return watch_rules(project)


async def _converge(
    session: Session, runtime: Runtime, goal: Goal, before_start: BeforeStart | None = None
) -> int:
    context = replace(session.context(), before_start=before_start)
    result = await converge(context, runtime, goal)
    session.show_profile()
    return result.exit_code


async def _attached(
    session: Session, arguments: UpArguments, goal: Goal, rules: WatchRules | None
) -> int:
    wanted = goal.wanted
    everything = tuple(wanted.services)
    services = everything if arguments.attach_dependencies else arguments.targets.services
    services = services or everything

    async def stop(runtime: Runtime) -> Plan:
        observed = await observe(runtime, wanted.project)
        there = [name for name in wanted.services if observed.of_service(name)]
        return plan_stop(observed, there, timeout_s=arguments.timeout_s)

    async def watch(runtime: Runtime) -> None:
        if rules is not None:
            try:
                await follow(session.context(), runtime, wanted.project, rules, session.log_lines())
            except StackrError as error:  # what runs goes on, as without --watch
                session.view.warning(f"watch: {error.message}")

    async with session.engine() as runtime:
        return await run_attached(
            session,
            runtime,
            wanted.project,
            arguments,
            services=services,
            output=shown_output(wanted.services, services, arguments),
            start=lambda engine, before_start: _converge(session, engine, goal, before_start),
            stop=stop,
            beside=None if rules is None else watch,
        )
