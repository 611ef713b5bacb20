"""`stackr wait`: until the containers of services end; the exit code is that of the last one."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, split_targets
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.errors import InvalidArgument, NotFound
from stackr.planner.commands.lifecycle import plan_down
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import DownOptions
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.stack.containers import project_containers
from stackr.stack.workloads.converge import take_down_cluster
from stackr.stack.workloads.nodes import running_tasks
from stackr.stack.workloads.tasks import list_tasks

__all__ = ["wait"]

_POLL_S = 0.3


def wait(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="[FILE] SERVICE...")],
    down_project: Annotated[
        bool, typer.Option("--down-project", help="Then remove the stack, as down does")
    ] = False,
) -> int:
    """Wait until the services' containers have ended; exit as the last of them did."""
    options, targets = options_of(ctx), split_targets(words)
    if not targets.services:
        raise InvalidArgument("wait: name a service at least")
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: _wait(session, runtime, name, targets, down_project),
            cluster=OnCluster(
                name, lambda cluster: _wait_on(session, cluster, name, targets, down_project)
            ),
        )


async def _wait(
    session: Session, runtime: Runtime, project: str, targets: Targets, down_project: bool
) -> int:
    listed = await project_containers(runtime, project, targets.services, oneoff=True)
    running = [container for container in listed if container.is_running]
    if not running:
        raise NotFound(f'no containers for project "{project}"', hint="nothing of them runs")
    if session.is_dry_run:
        for container in running:
            session.would(f"wait for {container.name}")
        return await _down(session, runtime, project) if down_project else 0
    last = 0

    async def ended(ref: str) -> None:
        nonlocal last
        last = await runtime.wait_container(ref)
        _tell(session, ref, last)

    await asyncio.gather(*(ended(container.id) for container in running))
    if not down_project:
        return last
    return await _down(session, runtime, project) or last


def _tell(session: Session, ref: str, code: int) -> None:
    told = {"container": ref, "exit_code": code}
    text = f'container "{ref}" exited with status code {code}'
    session.out.line(json.dumps(told) if session.is_json else text)


async def _wait_on(
    session: Session, cluster: Workloads, project: str, targets: Targets, down_project: bool
) -> int:
    """For the tasks that run now; those that a cluster starts in their place are not waited for."""
    running = {
        each.task.id: each for each in await running_tasks(cluster, project, targets.services)
    }
    last = 0
    for each in running.values() if session.is_dry_run else ():
        session.would(f"wait for {each.name}")
    while running and not session.is_dry_run:
        now = await list_tasks(cluster, project, targets.services, all=True)
        found = {each.task.id: each.task for each in now}
        for id in [id for id in running if id not in found or found[id].state != "running"]:
            task = found.get(id) or running[id].task
            last = task.exit_code or 0
            _tell(session, task.container_id, last)
            del running[id]
        if running:
            await asyncio.sleep(_POLL_S)
    if not down_project:
        return last
    options = DownOptions(remove_orphans=True)
    result = await take_down_cluster(session.context(), cluster, project, options)
    return result.exit_code or last


async def _down(session: Session, runtime: Runtime, project: str) -> int:
    plan = plan_down(await observe(runtime, project), DownOptions(remove_orphans=True))
    return await session.context().run_plan(plan, runtime)
