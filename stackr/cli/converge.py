"""Bring an engine in line with a project: plan, policy, apply, history; under the project's lock.

`up`, `apply`, `rollback` and `scale` are this with different projects. An atomic one goes back to
what was before when any step fails, a container does not become ready, or it is interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stackr.cli.planning import check_policy, plan_with_observed
from stackr.cli.session import Session
from stackr.planner.plan import Action

if TYPE_CHECKING:
    from stackr.executor.outcome import Outcome
    from stackr.planner.desired import Desired
    from stackr.planner.observed import Observed
    from stackr.planner.options import UpOptions
    from stackr.planner.plan import Plan
    from stackr.runtime.protocol import Runtime
    from stackr.spec.model.project import Project

__all__ = ["UNDONE", "Goal", "converge", "foresee"]

UNDONE = 4
"""The exit code of a change that failed and was taken back: atomic, or an update's rollback."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What should be up. action: how the history calls it. saved: the plan that was approved.

    ttl_s: after how long the engine takes it down; None for never.
    """

    project: Project
    wanted: Desired
    options: UpOptions
    action: str = "up"
    saved: Mapping[str, Any] | None = None
    ttl_s: float | None = None


async def converge(session: Session, runtime: Runtime, goal: Goal) -> int:
    """Reach the goal, and note it in the project's history; the exit code, failures reported.

    Raises PermissionDenied, before anything is changed, for what the stack's policy refuses, and
    Conflict where the plan that was approved is out of date.
    """
    session = replace(session, project=goal.project)
    async with session.locked(runtime, goal.wanted.project):
        approved = await _approved(runtime, goal)
        if code := await _refresh(session, runtime, goal):
            return code
        plan, before = await _checked_plan(runtime, goal, approved)
        if plan.is_empty:
            from stackr.cli.views.plan import summary_text

            session.view.message(summary_text(plan))
        if goal.ttl_s is not None:
            from stackr.cli.expiry import expire

            await expire(session, runtime, goal.wanted.project, goal.ttl_s)
        code, status = await _carry_out(session, runtime, goal, plan, before)
        session.show_profile()
        if not plan.is_empty:
            await _record(session, runtime, goal, plan, status)
        return code


async def foresee(session: Session, runtime: Runtime, goal: Goal) -> int:
    """Show what `converge` would do; nothing is changed."""
    from stackr.cli.planning import for_readers, foresee_up

    plan, _ = await foresee_up(runtime, goal.wanted, goal.options)
    form = "json" if session.is_json else "text"
    session.show_plan(for_readers(plan, goal.wanted, goal.project), form)
    return 0


async def _approved(runtime: Runtime, goal: Goal) -> Observed | None:
    """The world that the saved plan was approved for, as it still is; None without such a plan.

    Raises Conflict where another plan would be made now.
    """
    if goal.saved is None:
        return None
    from stackr.cli.planning import foresee_up
    from stackr.planner.saved import check_fresh, options_of

    plan, observed = await foresee_up(runtime, goal.wanted, options_of(goal.saved))
    check_fresh(goal.saved, plan, goal.wanted, observed)
    return observed


async def _refresh(session: Session, runtime: Runtime, goal: Goal) -> int:
    """Pull what is pulled again, before it is known what that changes."""
    from stackr.cli.planning import plan_pulls

    refresh = await plan_pulls(runtime, goal.wanted, goal.options)
    if refresh.is_empty:
        return 0
    await _checked_plan(runtime, goal, None)
    return await session.run_plan(refresh, runtime)


async def _checked_plan(
    runtime: Runtime, goal: Goal, approved: Observed | None
) -> tuple[Plan, Observed]:
    """The plan, if the stack's policy allows it and it is the one that was approved."""
    plan, observed = await plan_with_observed(runtime, goal.wanted, goal.options)
    check_policy(plan)
    if approved is not None and goal.saved is not None:
        from stackr.planner.reconcile import reconcile
        from stackr.planner.saved import as_approved, check_fresh, options_of

        before = as_approved(approved, observed)
        again = reconcile(goal.wanted, before, options_of(goal.saved))
        check_fresh(goal.saved, again, goal.wanted, before)
    return plan, observed


async def _carry_out(
    session: Session, runtime: Runtime, goal: Goal, plan: Plan, before: Observed
) -> tuple[int, str]:
    """The exit code, and the revision's status."""
    from stackr.executor.outcome import Outcome

    outcome = Outcome(plan)
    if goal.options.atomic:
        return await _all_or_nothing(session, runtime, goal, outcome, before)
    await session.apply_plan(outcome, runtime)
    services = _to_roll_back(outcome)
    code = await session.report(outcome, runtime, "" if services else None)
    if code and services:
        return await _roll_back(session, runtime, goal, services, code)
    return code, "failed" if code else "applied"


async def _all_or_nothing(
    session: Session, runtime: Runtime, goal: Goal, outcome: Outcome, before: Observed
) -> tuple[int, str]:
    from stackr.cli.undo import undo

    try:
        await session.apply_plan(outcome, runtime)
    except asyncio.CancelledError:
        is_committed = any(o.action is Action.COMMIT for o in outcome.done)
        if not is_committed:
            await undo(session, runtime, before)
        status = "applied" if is_committed else "undone"
        await _record(session, runtime, goal, outcome.plan, status)
        raise
    if not await session.report(outcome, runtime, ""):
        return 0, "applied"
    failed = await undo(session, runtime, before)
    return (failed, "failed") if failed else (UNDONE, "undone")


def _to_roll_back(outcome: Outcome) -> list[str]:
    """The services whose update failed, and that go back then, as update_config says; with them
    those that were not brought up for that reason."""
    from stackr.planner.payloads import Gate

    gates = [f.operation.payload for f in outcome.failed]
    failed = {g.service for g in gates if isinstance(g, Gate) and g.action == "rollback"}
    left = {
        skipped.operation.resource.service
        for skipped in outcome.skipped
        if any(cause.resource.service in failed for cause in skipped.because)
    }
    return sorted(failed | left - {""})


async def _roll_back(
    session: Session, runtime: Runtime, goal: Goal, services: list[str], code: int
) -> tuple[int, str]:
    """Bring these services back to the last revision that was applied whole."""
    from stackr.cli.history import read_history
    from stackr.cli.rollback import goal_of
    from stackr.executor.outcome import Outcome
    from stackr.planner.options import UpOptions
    from stackr.planner.revision import last_applied

    names = ", ".join(services)
    revisions = await read_history(runtime, goal.project.name)
    revision = last_applied(revisions)
    if revision is None:
        session.view.warning(f"{names}: no revision was applied before: there is nothing to go to")
        return code, "failed"
    known = tuple(name for name in services if name in revision.archive["services"])
    names = ", ".join(known)
    options = UpOptions(
        services=known, no_deps=True, is_rollback=True, timeout_s=goal.options.timeout_s
    )
    session.view.message(f"rolling {names} back to revision {revision.number}")
    back = await goal_of(session, runtime, revision, revisions, options)
    plan, _ = await plan_with_observed(runtime, back.wanted, back.options)
    outcome = Outcome(plan)
    await session.apply_plan(outcome, runtime)
    failed = await session.report(outcome, runtime, None)
    return (failed, "failed") if failed else (UNDONE, "rolled back")


async def _record(session: Session, runtime: Runtime, goal: Goal, plan: Plan, status: str) -> None:
    from stackr.cli.history import if_possible, record

    with if_possible(session.view):
        await record(runtime, goal.project, goal.wanted, plan, action=goal.action, status=status)
