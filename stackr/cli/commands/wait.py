"""`stackr wait`: until the containers of services end; the exit code is that of the last one."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, split_targets
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.errors import InvalidArgument, NotFound
from stackr.planner.commands.lifecycle import plan_down
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import DownOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.containers import project_containers

__all__ = ["wait"]


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
            lambda runtime: _wait(session, runtime, name, targets, down_project)
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
        told = {"container": ref, "exit_code": last}
        text = f'container "{ref}" exited with status code {last}'
        session.out.line(json.dumps(told) if session.is_json else text)

    await asyncio.gather(*(ended(container.id) for container in running))
    if not down_project:
        return last
    return await _down(session, runtime, project) or last


async def _down(session: Session, runtime: Runtime, project: str) -> int:
    plan = plan_down(await observe(runtime, project), DownOptions(remove_orphans=True))
    return await session.context().run_plan(plan, runtime)
