"""Bring an engine in line with a project: plan, policy, apply, history; under the project's lock.

`up`, `apply`, `rollback` and `scale` are this with different projects. An atomic one goes back to
what was before when any step fails, a container does not become ready, or it is interrupted.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from stackr.executor.outcome import Outcome
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.observe.observed import Observed
from stackr.planner.observe.revision import last_applied
from stackr.planner.plan.model import Action, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import Gate
from stackr.planner.review.saved import as_approved, check_fresh, host_prints, options_of
from stackr.runtime.protocol import Runtime
from stackr.spec.model.project import Project
from stackr.stack.abandoned import clear_abandoned
from stackr.stack.address import is_of_this_machine
from stackr.stack.bind_sources import check_grants
from stackr.stack.context import Context
from stackr.stack.events import Foreseen, Planned
from stackr.stack.expiry import expire
from stackr.stack.goal import Goal
from stackr.stack.history import if_possible, read_history, record
from stackr.stack.planning import (
    check_policy,
    for_readers,
    foresee_up,
    plan_with_observed,
    refresh,
)
from stackr.stack.result import UNDONE, Result, Status
from stackr.stack.rollback import goal_of
from stackr.stack.undo import undo

__all__ = ["converge", "foresee"]


async def converge(context: Context, runtime: Runtime, goal: Goal) -> Result:
    """Reach the goal, and note it in the project's history; failures are reported.

    Raises PermissionDenied, before anything is changed, for what the stack's policy refuses, and
    Conflict where the plan that was approved is out of date; InvalidProject where the file of a
    secret or config is missing.
    """
    context = replace(context, project=goal.project)
    if is_of_this_machine(context.engine):
        check_grants(goal.project, goal.wanted.services)
    async with context.locked(runtime, goal.wanted.project):
        approved = await _approved(runtime, goal)
        if context.is_dry_run:
            plan = await foresee(runtime, goal)
            context.report(Foreseen(plan))
            return Result(plan, "applied", 0)
        check = partial(_checked_plan, runtime, goal, None)
        if code := await refresh(context, runtime, goal.wanted, goal.options, check):
            return Result(Plan(goal.wanted.project), "failed", code)
        plan, before = await _checked_plan(runtime, goal, approved)
        context.report(Planned(plan))
        await expire(context, runtime, goal.project, goal.ttl_s)
        if goal.project.isolated is not None:
            await _isolate(context, runtime, goal.project, plan)
        code, status = await _carry_out(context, runtime, goal, plan, before)
        if not plan.is_empty:
            await _record(context, runtime, goal, plan, status)
        return Result(plan, status, code)


async def _isolate(context: Context, runtime: Runtime, project: Project, plan: Plan) -> None:
    """Before an isolated copy comes up: take away those that have no folder, and say what this one
    shares with others."""
    await clear_abandoned(context, runtime, beside=project.name)
    notes = project.isolated.notes if project.isolated and not plan.is_empty else ()
    for note in notes:
        context.message(f"note: {note}")


async def foresee(runtime: Runtime, goal: Goal) -> Plan:
    """What `converge` would do; nothing is changed."""
    plan, _ = await foresee_up(runtime, goal.wanted, goal.options)
    return for_readers(plan, goal.wanted, goal.project)


async def _approved(runtime: Runtime, goal: Goal) -> Observed | None:
    """The world that the saved plan was approved for, as it still is; None without such a plan.

    Raises Conflict where another plan would be made now.
    """
    if goal.saved is None:
        return None
    plan, observed = await foresee_up(runtime, goal.wanted, options_of(goal.saved))
    key = str(goal.saved["key"])
    check_fresh(goal.saved, host_prints(plan, goal.wanted, observed, key))
    return observed


async def _checked_plan(
    runtime: Runtime, goal: Goal, approved: Observed | None
) -> tuple[Plan, Observed]:
    """The plan, if the stack's policy allows it and it is the one that was approved."""
    plan, observed = await plan_with_observed(runtime, goal.wanted, goal.options)
    check_policy(plan)
    if approved is not None and goal.saved is not None:
        before = as_approved(approved, observed)
        again = reconcile(goal.wanted, before, options_of(goal.saved))
        key = str(goal.saved["key"])
        check_fresh(goal.saved, host_prints(again, goal.wanted, before, key))
    return plan, observed


async def _carry_out(
    context: Context, runtime: Runtime, goal: Goal, plan: Plan, before: Observed
) -> tuple[int, Status]:
    """The exit code, and the revision's status."""
    outcome = Outcome(plan)
    if goal.options.atomic:
        return await _all_or_nothing(context, runtime, goal, outcome, before)
    await context.apply_plan(outcome, runtime)
    services = _to_roll_back(outcome)
    code = await context.tell_failures(outcome, runtime, "" if services else None)
    if code and services:
        return await _roll_back(context, runtime, goal, services, code)
    return code, "failed" if code else "applied"


async def _all_or_nothing(
    context: Context, runtime: Runtime, goal: Goal, outcome: Outcome, before: Observed
) -> tuple[int, Status]:
    try:
        await context.apply_plan(outcome, runtime)
    except asyncio.CancelledError:
        is_committed = any(o.action is Action.COMMIT for o in outcome.done)
        if not is_committed:
            await undo(context, runtime, before, outcome.interrupted)
        status: Status = "applied" if is_committed else "undone"
        await _record(context, runtime, goal, outcome.plan, status)
        raise
    if not await context.tell_failures(outcome, runtime, ""):
        return 0, "applied"
    failed = await undo(context, runtime, before)
    return (failed, "failed") if failed else (UNDONE, "undone")


def _to_roll_back(outcome: Outcome) -> list[str]:
    """The services whose update failed, and that go back then, as update_config says; with them
    those that were not brought up for that reason."""
    gates = [f.operation.payload for f in outcome.failed]
    failed = {g.service for g in gates if isinstance(g, Gate) and g.action == "rollback"}
    left = {
        skipped.operation.resource.service
        for skipped in outcome.skipped
        if any(cause.resource.service in failed for cause in skipped.because)
    }
    return sorted(failed | left - {""})


async def _roll_back(
    context: Context, runtime: Runtime, goal: Goal, services: list[str], code: int
) -> tuple[int, Status]:
    """Bring these services back to the last revision that was applied whole."""
    names = ", ".join(services)
    revisions = await read_history(runtime, goal.project.name)
    revision = last_applied(revisions)
    if revision is None:
        context.warning(f"{names}: no revision was applied before: there is nothing to go to")
        return code, "failed"
    known = tuple(name for name in services if name in revision.archive["services"])
    names = ", ".join(known)
    options = UpOptions(
        services=known, no_deps=True, is_rollback=True, timeout_s=goal.options.timeout_s
    )
    context.message(f"rolling {names} back to revision {revision.number}")
    back = await goal_of(context, runtime, revision, revisions, options)
    plan, _ = await plan_with_observed(runtime, back.wanted, back.options)
    outcome = Outcome(plan)
    await context.apply_plan(outcome, runtime)
    failed = await context.tell_failures(outcome, runtime, None)
    return (failed, "failed") if failed else (UNDONE, "rolled back")


async def _record(
    context: Context, runtime: Runtime, goal: Goal, plan: Plan, status: Status
) -> None:
    with if_possible(context):
        await record(runtime, goal.project, goal.wanted, plan, action=goal.action, status=status)
