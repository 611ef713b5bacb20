"""Start, stop, restart, pause, kill and remove what exists, of the services that are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stackr.errors import NotFound
from stackr.planner.commands.restarting import Optional
from stackr.planner.observe.observed import Observed, observe, service_of
from stackr.planner.plan.model import Plan
from stackr.runtime.protocol import Runtime
from stackr.stack.context import Context
from stackr.stack.history import if_possible, record_removal
from stackr.stack.result import Result
from stackr.stack.source import Declared

__all__ = ["Change", "change"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of containers.

    make: the plan, from what exists, the services that are meant (() for all), and what of the
    stack file need not be there. needs_containers: that there are none is an error. with_oneoffs:
    the containers of `run` count. with_orphans: those of any service. confirm: is asked before
    anything is done. removes: the history takes note of it. nothing: what is said where there is
    nothing to do.
    """

    make: Callable[[Observed, tuple[str, ...], Optional], Plan]
    needs_containers: bool = False
    with_oneoffs: bool = False
    with_orphans: bool = False
    confirm: Callable[[Plan], bool] | None = None
    removes: bool = False
    nothing: str = ""


async def change(
    context: Context,
    runtime: Runtime,
    project: str,
    services: Sequence[str],
    file: Declared | None,
    wanted: Change,
) -> Result:
    """Plan over the containers of the services named, and carry it out; failures are reported.

    Where there is a stack file, containers of services that it has not, or whose profile is off,
    are left alone, as with Docker Compose. file: None where there is none.
    """
    async with context.locked(runtime, project):
        observed = await observe(runtime, project)
        if file is not None and not wanted.with_orphans:
            observed = observed.only(file.services)
        there = _there(observed, services, wanted)
        optional = file.optional if file is not None else ()
        plan = Plan(project) if there is None else wanted.make(observed, there, optional)
        if plan.is_empty and wanted.nothing:
            context.message(wanted.nothing)
        if wanted.confirm is not None and not plan.is_empty and not wanted.confirm(plan):
            return Result(Plan(project), "applied")
        code = await context.run_plan(plan, runtime)
        if wanted.removes and not code and not context.is_dry_run:
            with if_possible(context):
                await record_removal(runtime, project, "rm")
        return Result(plan, "failed" if code else "applied", code)


def _there(observed: Observed, named: Sequence[str], wanted: Change) -> tuple[str, ...] | None:
    """The named services that have containers, () for all that have; None where none has."""
    containers = [*observed.containers, *(observed.oneoffs if wanted.with_oneoffs else ())]
    found = {service_of(container) for container in containers}
    services = tuple(name for name in named if name in found)
    if found and (services or not named):
        return services
    if wanted.needs_containers:
        whose = f'service "{named[0]}"' if named else observed.project
        raise NotFound(f"{whose} has no containers", hint="create them with stackr up")
    return None
