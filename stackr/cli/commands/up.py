"""`stackr up`: load the stack, plan what differs from what runs, do it, and show it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import typer

from stackr.cli.attached import Actions, run_attached, shown_output
from stackr.cli.declared import takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.up_arguments import UpArguments
from stackr.errors import InvalidArgument, StackrError
from stackr.executor.operations import BeforeStart
from stackr.planner.commands.lifecycle import plan_stop
from stackr.planner.commands.restarting import plan_restart
from stackr.planner.observe.observed import observe
from stackr.planner.plan.model import Plan
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Project
from stackr.spec.problems import nearest
from stackr.stack.arrival import EARLY_S, arrival
from stackr.stack.converge import converge, foresee
from stackr.stack.goal import Goal
from stackr.stack.isolation import VARIABLE, wish_of
from stackr.stack.planning import desire
from stackr.stack.watch.follow import follow
from stackr.stack.watch.rules import watch_rules
from stackr.stack.workloads.converge import converge_cluster, foresee_cluster, up_goal

__all__ = ["bring_up", "up"]


@takes(UpArguments, before={"--yes": "--timings"})
def up(ctx: typer.Context, arguments: UpArguments) -> int:
    """Create and start the stack, or bring what runs in line with the file."""
    with open_session(options_of(ctx)) as session:
        session = session.with_profile() if arguments.timings else session
        return bring_up(session, arguments)


def bring_up(session: Session, arguments: UpArguments) -> int:
    project = source_of(session.options, arguments.targets.files).load(arguments.targets.services)
    session = session.quieter(pulls=arguments.quiet_pull, builds=arguments.quiet_build)
    for warning in _misread_profiles(project, session.options.profiles):
        session.view.warning(warning)
    goal = session.prepared(lambda: _goal(session, arguments, project))
    cluster = OnCluster(
        project.name, lambda cluster: _on_cluster(session, cluster, arguments, project)
    )
    if session.is_dry_run:
        return session.on_engine(
            lambda runtime: _foresee(session, runtime, goal()), cluster=cluster, read_only=True
        )
    if arguments.is_attached:
        return asyncio.run(
            session.working(lambda runtime: _attached(session, runtime, arguments, goal()), cluster)
        )
    return session.on_engine(lambda runtime: _converge(session, runtime, goal()), cluster=cluster)


def _goal(session: Session, arguments: UpArguments, project: Project) -> Goal:
    wanted = desire(
        project,
        arguments.plan_options,
        engine=session.options.engine,
        all_resources=session.options.all_resources,
    )
    for service in (arguments.exit_code_from, *arguments.no_attach):
        if service is not None and service not in wanted.services:
            raise InvalidArgument(f"no such service: {service}")
    if absent := [name for name in arguments.attach if name not in wanted.services]:
        raise InvalidArgument(f"cannot attach to services not included in up: {', '.join(absent)}")
    if arguments.watch:
        watch_rules(project)  # which may be wrong
    return Goal(project, wanted, arguments.plan_options, ttl_s=arguments.ttl_s)


async def _foresee(session: Session, runtime: Runtime, goal: Goal) -> int:
    session.show_plan(await foresee(runtime, goal), "json" if session.is_json else "text")
    return 0


async def _on_cluster(
    session: Session, cluster: Workloads, arguments: UpArguments, project: Project
) -> int:
    """Until all runs; what is attached is not there for, as the nodes have the output."""
    arguments.check_cluster()
    goal = up_goal(cluster, project, arguments.plan_options, ttl_s=arguments.ttl_s)
    if session.is_dry_run:
        plan, _ = await foresee_cluster(cluster, goal)
        session.show_plan(plan, "json" if session.is_json else "text")
        return 0
    result = await converge_cluster(session.context(), cluster, goal)
    if result.is_success and not result.plan.is_empty:
        _say_whose(session, project)
    session.show_profile()
    return result.exit_code


def _misread_profiles(project: Project, given: Sequence[str]) -> Iterator[str]:
    """Of `--profile`, which once had no value: names of services that are no profiles."""
    services = {**project.services, **project.disabled_services}
    profiles = {name for service in services.values() for name in service.profiles}
    for name in given:
        if name in services and name not in profiles:
            yield (
                f"--profile {name}: no service has this profile, but a service has this name; "
                "--timings shows where the time went"
            )
        elif (
            project.services and name not in profiles and (near := nearest(name, sorted(profiles)))
        ):
            yield f"--profile {name}: no service has this profile: {near}"


async def _converge(
    session: Session, runtime: Runtime, goal: Goal, before_start: BeforeStart | None = None
) -> int:
    context = replace(session.context(), before_start=before_start)
    begun = time.monotonic()
    result = await converge(context, runtime, goal)
    if result.is_success and not result.plan.is_empty and goal.options.start:
        is_watched = before_start is None and session.err.is_terminal
        with contextlib.suppress(StackrError):  # the stack is up, whatever can be told of it
            arrived = await arrival(
                runtime,
                result.plan,
                engine=session.options.engine,
                patience_s=EARLY_S if is_watched else 0,
            )
            session.show_arrival(arrived, time.monotonic() - begun)
        _say_whose(session, goal.project)
    session.show_profile()
    return result.exit_code


def _say_whose(session: Session, project: Project) -> None:
    """How other commands are about an isolated copy; nothing where the variable says so already."""
    copy = project.isolated
    if copy is not None and wish_of(os.environ) is None:
        given = f"--isolated={copy.name}" if session.options.isolated_name else "--isolated"
        session.view.message(
            f"it is an isolated copy: other commands take {given}, or export {VARIABLE}={copy.name}"
        )


async def _attached(session: Session, engine: Runtime, arguments: UpArguments, goal: Goal) -> int:
    wanted = goal.wanted
    everything = tuple(wanted.services)
    services = everything if arguments.attach_dependencies else arguments.targets.services
    services = services or everything

    async def stop(runtime: Runtime) -> Plan:
        observed = await observe(runtime, wanted.project)
        there = [name for name in wanted.services if observed.of_service(name)]
        return plan_stop(observed, there, timeout_s=arguments.options.timeout_s)

    async def restart(runtime: Runtime, service: str) -> None:
        context = session.context()
        async with context.locked(runtime, wanted.project):
            observed = await observe(runtime, wanted.project)
            timeout_s = arguments.options.timeout_s
            await context.run_plan(plan_restart(observed, [service], timeout_s=timeout_s), runtime)

    async def watch(runtime: Runtime) -> None:
        try:
            await watch_by_key(runtime)
        except StackrError as error:  # what runs goes on, as without --watch
            session.view.warning(f"watch: {error.message}")

    async def watch_by_key(runtime: Runtime) -> None:
        rules = watch_rules(goal.project)
        await follow(session.context(), runtime, goal, rules, session.log_lines())

    return await run_attached(
        session,
        engine,
        wanted.project,
        arguments,
        services=services,
        output=shown_output(wanted.services, services, arguments),
        start=lambda engine, before_start: _converge(session, engine, goal, before_start),
        stop=stop,
        beside=watch if arguments.watch else None,
        actions=Actions(watch_by_key, restart),
    )
