"""Take a stack down: what belongs to the project, found by its labels, and its history with it."""

from __future__ import annotations

from stackr.planner.commands.lifecycle import plan_down
from stackr.planner.desired.project import Desired
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import DownOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.context import Context
from stackr.stack.history import forget, if_possible, record_removal
from stackr.stack.result import Result

__all__ = ["take_down"]


async def take_down(
    context: Context,
    runtime: Runtime,
    project: str,
    wanted: Desired | None,
    options: DownOptions,
) -> Result:
    """Remove the project; failures are reported. wanted: None where no stack file is known."""
    async with context.locked(runtime, project):
        plan = plan_down(await observe(runtime, project), options, wanted)
        if plan.is_empty:
            context.message(f"{project}: nothing to remove")
        code = await context.run_plan(plan, runtime)
        if not code and not context.is_dry_run:
            await _remember(context, runtime, project, options)
        return Result(plan, "failed" if code else "applied", code)


async def _remember(context: Context, runtime: Runtime, project: str, options: DownOptions) -> None:
    """The history goes with the volumes; services that were taken down alone are noted in it."""
    if options.services:
        with if_possible(context):
            await record_removal(runtime, project, "down")
    elif options.volumes:
        await forget(runtime, project)
