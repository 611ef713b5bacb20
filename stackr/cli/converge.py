"""Bring an engine in line with a project: plan, policy, apply, history; under the project's lock.

`up`, `apply`, `rollback` and `scale` are this with different projects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackr.cli.planning import check_policy, plan_up
from stackr.cli.session import Session
from stackr.errors import StackrError

if TYPE_CHECKING:
    from stackr.planner.desired import Desired
    from stackr.planner.options import UpOptions
    from stackr.planner.plan import Plan
    from stackr.runtime.protocol import Runtime
    from stackr.spec.model.project import Project

__all__ = ["Goal", "converge"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What should be up. action: how the history calls it."""

    project: Project
    wanted: Desired
    options: UpOptions
    action: str = "up"


async def converge(session: Session, runtime: Runtime, goal: Goal) -> int:
    """Reach the goal, and note it in the project's history; the exit code, failures reported.

    Raises PermissionDenied, before anything is changed, for what the stack's policy refuses.
    """
    async with session.locked(goal.wanted.project):
        plan = await _plan(session, runtime, goal)
        if isinstance(plan, int):
            return plan
        if plan.is_empty:
            from stackr.cli.views.plan import summary_text

            session.view.message(summary_text(plan))
        code = await session.run_plan(plan, runtime)
        if not plan.is_empty:
            await _record(session, runtime, goal, plan, "failed" if code else "applied")
        return code


async def _plan(session: Session, runtime: Runtime, goal: Goal) -> Plan | int:
    """The plan, once what is always pulled has been; the exit code where that fails."""
    from stackr.planner.observed import Observed
    from stackr.planner.reconcile import plan_refresh

    wanted, options = goal.wanted, goal.options
    refresh = plan_refresh(wanted, Observed(wanted.project), options)
    if not refresh.is_empty:
        check_policy(await plan_up(runtime, wanted, options))
        if code := await session.run_plan(refresh, runtime):
            return code
    plan = await plan_up(runtime, wanted, options)
    check_policy(plan)
    return plan


async def _record(session: Session, runtime: Runtime, goal: Goal, plan: Plan, status: str) -> None:
    from stackr.cli.history import record

    try:
        await record(runtime, goal.project, goal.wanted, plan, action=goal.action, status=status)
    except StackrError as error:
        session.view.warning(f"history: this revision is not kept: {error.message}")
