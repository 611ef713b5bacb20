"""Bring a cluster in line with a stack: plan, policy, documents, waits, history.

It is done when the tasks of the new documents run, and not before. What fails is told with the
task's own words; with `--atomic` the whole stack is brought back to what it was, not the one
service that the engine would take back by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stackr.executor.convergence import judge
from stackr.executor.documents import TakenBack
from stackr.executor.outcome import Outcome
from stackr.planner.dialects import dialect_of
from stackr.planner.observe.revision import Revision, find_revision, previous
from stackr.planner.plan.model import Action, Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.planner.review.documents import for_document_readers
from stackr.planner.review.saved import check_fresh, document_prints
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.removal import plan_removal, plan_restarts
from stackr.planner.workloads.revision import KeptRevision, as_observed, images_of, returning
from stackr.runtime.workloads import DocumentKind, Observation, Workloads
from stackr.spec.archive import restored
from stackr.spec.model.project import Project
from stackr.stack.context import Context
from stackr.stack.events import Planned
from stackr.stack.history import if_possible
from stackr.stack.planning import check_policy
from stackr.stack.result import UNDONE, Result, Status
from stackr.stack.workloads.expiry import clear_expired, expire_on_cluster
from stackr.stack.workloads.history import forget_all, keep, kept_revisions
from stackr.stack.workloads.planning import Outlook, look, plan_documents, rendered
from stackr.stack.workloads.refusals import refuse_given

__all__ = [
    "ClusterGoal",
    "check_options",
    "converge_cluster",
    "foresee_cluster",
    "goal_of_revision",
    "restart_on_cluster",
    "take_down_cluster",
    "up_goal",
]


@dataclass(frozen=True, slots=True)
class ClusterGoal:
    """What should run. action: how the history calls it. saved: the plan that was approved.

    digests: of images, where no registry is to be asked for them. ttl_s: after how long it may be
    taken down; None leaves its time as it is.
    """

    wanted: Rendered
    options: UpOptions
    action: str = "up"
    saved: Mapping[str, Any] | None = None
    digests: Mapping[str, str] | None = None
    announcement: str = ""
    ttl_s: float | None = None


def up_goal(
    cluster: Workloads, project: Project, options: UpOptions, *, ttl_s: float | None = None
) -> ClusterGoal:
    """Raises InvalidProject for what the cluster cannot do, NotSupported for such an option."""
    check_options(options)
    wanted = rendered(project, options, cluster.dialect, cluster.capabilities)
    return ClusterGoal(wanted, options, ttl_s=ttl_s)


def check_options(options: UpOptions) -> None:
    """Raises NotSupported, naming it, for what an engine that runs replicas itself has no way of.

    Images are pulled by the nodes and built elsewhere; anonymous volumes belong to tasks.
    """
    refused = {
        "--always-recreate-deps": options.recreate_dependencies,
        "--renew-anon-volumes": options.renew_anonymous_volumes,
        "--yes": options.recreate_volumes,
        "--build": options.build == "always",
        "--no-start": not options.start,
        "--pull never": options.pull == "never",
    }
    refuse_given(refused, "make the containers", hints=_HINTS)


_HINTS = {
    "--build": "stackr build --push, on an engine of containers, sends images to where the nodes"
    " can pull them",
    "--no-start": "stackr diff shows what up would do",
}


async def goal_of_revision(
    cluster: Workloads, project: str, number: int | None, options: UpOptions
) -> ClusterGoal:
    """What brings a stack back to a revision. number: None for the one before the last.

    Raises NotFound where there is no such revision.
    """
    kept = {each.revision.number: each for each in await kept_revisions(cluster, project)}
    revisions = [each.revision for each in kept.values()]
    revision = previous(revisions) if number is None else find_revision(revisions, number)
    then = kept[revision.number]
    return ClusterGoal(
        returning(then, dialect_of(cluster.dialect), restored(revision.archive, {})),
        replace(options, remove_orphans=True),
        f"rollback to {revision.number}",
        digests={},
        announcement=f"rolling {project} back to revision {revision.number}",
    )


async def foresee_cluster(
    cluster: Workloads, goal: ClusterGoal, *, detail: bool = False
) -> tuple[Plan, Outlook]:
    """What `converge_cluster` would change, for readers, and what that was told from.

    detail: with all of what is created.
    """
    seen = await look(cluster, goal.wanted, goal.options, digests=goal.digests)
    plan = plan_documents(cluster, seen, goal.options)
    readable = for_document_readers(plan, goal.wanted, dialect_of(cluster.dialect), detail=detail)
    return readable, seen


async def converge_cluster(context: Context, cluster: Workloads, goal: ClusterGoal) -> Result:
    """Reach the goal, and note it in the history; failures are reported.

    Raises PermissionDenied for what the stack's policy refuses, and Conflict where the plan that
    was approved is out of date, both before anything is changed.
    """
    project = goal.wanted.project
    context = replace(context, project=project)
    await clear_expired(context, cluster)
    async with context.locked_cluster(cluster, project.name):
        plan, seen = await _plan(cluster, goal)
        check_policy(plan)
        if goal.saved is not None:
            key = str(goal.saved["key"])
            now = document_prints(plan, goal.wanted, seen.observation, key, seen.digests)
            check_fresh(goal.saved, now)
        context.report(Planned(plan))
        for note in project.isolated.notes if project.isolated and not plan.is_empty else ():
            context.message(f"note: {note}")
        await expire_on_cluster(context, cluster, project.name, goal.ttl_s)
        code, status = await _carry_out(context, cluster, goal, plan, seen)
        if _changes(plan):
            with if_possible(context):
                await keep(
                    cluster,
                    goal.wanted,
                    plan,
                    action=goal.action,
                    status=status,
                    is_partial=bool(goal.options.services),
                )
        return Result(plan, status, code)


async def _plan(cluster: Workloads, goal: ClusterGoal) -> tuple[Plan, Outlook]:
    """The plan, whose end is waited for where it changes anything, or all is not as it shall be."""
    seen = await look(cluster, goal.wanted, goal.options, digests=goal.digests)
    plan = plan_documents(cluster, seen, goal.options)
    if not goal.options.wait and (plan.operations or not await _is_settled(cluster, goal)):
        plan = plan_documents(cluster, seen, replace(goal.options, wait=True))
    return plan, seen


async def _is_settled(cluster: Workloads, goal: ClusterGoal) -> bool:
    """Whether every service of the file runs, or is done: an engine may be busy with it yet."""
    names = {each.name for each in goal.wanted.of_kind(DocumentKind.SERVICE)}
    found = await cluster.status(goal.wanted.project.name)
    return all(judge(status).ready for status in found if status.service in names)


def _changes(plan: Plan) -> bool:
    return any(operation.action is not Action.WAIT_FOR for operation in plan.operations)


async def _carry_out(
    context: Context, cluster: Workloads, goal: ClusterGoal, plan: Plan, seen: Outlook
) -> tuple[int, Status]:
    """The exit code, and the revision's status."""
    outcome = Outcome(plan)
    try:
        await context.apply_documents(outcome, cluster)
    except asyncio.CancelledError:
        if goal.options.atomic and _changes(plan):
            await _undo(context, cluster, goal, seen.observation)
        raise
    is_back = goal.options.atomic or _is_rolled_back(outcome)
    code = await context.tell_cluster_failures(outcome, cluster, "" if is_back else None)
    if not code:
        return 0, "applied"
    if goal.options.atomic:
        failed = await _undo(context, cluster, goal, seen.observation)
        return (failed, "failed") if failed else (UNDONE, "undone")
    return (UNDONE, "rolled back") if is_back else (code, "failed")


def _is_rolled_back(outcome: Outcome) -> bool:
    """Whether all that failed are updates that the engine has taken back, as the file says."""
    failed = outcome.failed
    return bool(failed) and all(isinstance(each.error, TakenBack) for each in failed)


async def _undo(
    context: Context, cluster: Workloads, goal: ClusterGoal, before: Observation
) -> int:
    """Bring the whole stack back to what it was; the exit code of doing so."""
    project = goal.wanted.project
    context.message(f"going back: {project.name} as it was before")
    dialect = dialect_of(cluster.dialect)
    if before.documents:
        revision = Revision(0, images=images_of(before, dialect))
        was = KeptRevision(revision, as_observed(before, dialect), jobs=goal.wanted.jobs)
        wanted = returning(was, dialect, project)
        options = UpOptions(remove_orphans=True, wait=True)
        seen = await look(cluster, wanted, options, digests={})
        plan = plan_documents(cluster, seen, options)
    else:
        plan = plan_removal(await cluster.observe(project.name))
    code = await _run(context, cluster, plan, advice="stackr up brings the stack in line")
    if not code:
        context.message(f"{project.name} is what it was before")
    return code


async def take_down_cluster(
    context: Context, cluster: Workloads, project: str, options: DownOptions
) -> Result:
    """Remove a stack's services, and what only they used.

    Raises NotSupported for volumes and images, which are the nodes'.
    """
    refuse_given(
        {"--volumes": options.volumes, "--rmi": options.images is not None},
        "have them",
        hint="remove them on each node, with its own engine",
    )
    services = options.services
    await clear_expired(context, cluster)
    async with context.locked_cluster(cluster, project):
        observation = await cluster.observe(project)
        plan = plan_removal(observation, services)
        code = await _run(context, cluster, plan)
        if not code and not services and not context.is_dry_run:
            await forget_all(cluster, project)
            await cluster.clear_expiry(project)
        return Result(plan, "failed" if code else "applied", code)


async def restart_on_cluster(
    context: Context, cluster: Workloads, project: str, services: tuple[str, ...] = ()
) -> Result:
    """New tasks of the same documents, as their update rules say."""
    async with context.locked_cluster(cluster, project):
        plan = plan_restarts(await cluster.observe(project), services)
        code = await _run(context, cluster, plan)
        return Result(plan, "failed" if code else "applied", code)


async def _run(
    context: Context, cluster: Workloads, plan: Plan, *, advice: str | None = None
) -> int:
    """As `Context.run_plan`."""
    if context.foresees(plan):
        return 0
    outcome = Outcome(plan)
    await context.apply_documents(outcome, cluster)
    return await context.tell_cluster_failures(outcome, cluster, advice)
