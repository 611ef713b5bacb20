"""From a loaded project to its plan: what is desired, what the engine has, and the difference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from stackr.errors import InvalidProject, PermissionDenied
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.project import Desired, desired
from stackr.planner.images.building import built, plan_bases
from stackr.planner.images.refresh import ask_registries, plan_refresh
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.observe.orphans import is_told_by_plan
from stackr.planner.plan.model import Plan, RiskLevel
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.provenance import with_created_fields, with_sources
from stackr.runtime.connect import foretold
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import Capabilities
from stackr.spec.model.project import Project
from stackr.spec.support import unsupported
from stackr.stack.accepted import check_accepted, profiles_hint, unknown_profiles
from stackr.stack.address import is_of_this_machine
from stackr.stack.bind_sources import missing_files
from stackr.stack.builds import are_built, with_builds
from stackr.stack.context import Context

__all__ = [
    "check_policy",
    "check_support",
    "desire",
    "for_readers",
    "foresee_up",
    "plan_pulls",
    "plan_up",
    "plan_with_observed",
    "refresh",
]


def desire(
    project: Project,
    up_options: UpOptions,
    *,
    engine: str | None = None,
    all_resources: bool = False,
) -> Desired:
    """What should exist. all_resources: networks and volumes that no service uses as well.

    Raises InvalidProject for what no engine honours, or the one that stackr starts does not; what
    another does not shows when it is open, see `check_support`.
    """
    if not project.services:
        raise InvalidProject("no service selected", hint=profiles_hint(project))
    _refuse_unsupported(project, foretold(engine))
    is_here = is_of_this_machine(engine)
    wanted = desired(project, up_options, all_resources=all_resources, bound_files=is_here)
    check_accepted(project, {name: each.image for name, each in wanted.services.items()})
    told = (*unknown_profiles(project), *(missing_files(project) if is_here else ()))
    return replace(wanted, warnings=(*wanted.warnings, *told)) if told else wanted


def check_support(runtime: Runtime, wanted: Desired) -> None:
    """Raises InvalidProject for what this engine, now that it is open, does not honour."""
    for service in wanted.services.values():
        _refuse_unsupported(service.project, runtime.capabilities)
        return  # it is the project of all


def _refuse_unsupported(project: Project, capabilities: Capabilities) -> None:
    problems = unsupported(project, embedded=capabilities.documented_support)
    if problems:
        raise InvalidProject(str(problems[0]), problems=problems)


def for_readers(plan: Plan, wanted: Desired, project: Project, *, detail: bool = False) -> Plan:
    """The plan with where its values are written; with all of what is created, for `detail`."""
    warnings = tuple(each for each in plan.warnings if not is_told_by_plan(each))
    plan = with_created_fields(replace(plan, warnings=warnings), wanted, detail=detail)
    return with_sources(plan, wanted, project)


def check_policy(plan: Plan) -> None:
    """Raises PermissionDenied with every risk that `x-stackr.policy` makes an error."""
    if plan.is_refused:
        refused = [risk for risk in plan.risks if risk.level is RiskLevel.ERROR]
        raise PermissionDenied(
            "refused by x-stackr.policy: "
            + "; ".join(f"{risk.id}: {risk.message}" for risk in refused),
            hint="nothing was changed; stackr diff shows the whole plan",
        )


async def plan_pulls(runtime: Runtime, wanted: Desired, up_options: UpOptions) -> tuple[Plan, Plan]:
    """What is due before it is known what it changes: first what is built on, then the rest.

    Empty for most projects. After the first one the second is out of date.
    """
    policies = {up_options.pull or each.pull_policy for each in wanted.services.values()}
    if policies <= _NEVER_AGAIN and not are_built(wanted, up_options):
        return Plan(wanted.project), Plan(wanted.project)
    check_support(runtime, wanted)
    observed = await observe(runtime, wanted.project, wanted)
    observed = await with_builds(runtime, wanted, observed, up_options)
    return plan_bases(wanted, observed), plan_refresh(wanted, observed, up_options)


async def refresh(
    context: Context,
    runtime: Runtime,
    wanted: Desired,
    up_options: UpOptions,
    check: Callable[[], Awaitable[object]] | None = None,
) -> int:
    """Pull and build what is due again, before it is known what that changes; the exit code.

    check: raises where the second half is not to be done.
    """
    bases, rest = await plan_pulls(runtime, wanted, up_options)
    if not bases.is_empty:
        if code := await context.run_plan(bases, runtime):
            return code
        _, rest = await plan_pulls(runtime, wanted, up_options)
    if rest.is_empty:
        return 0
    if check is not None:
        await check()
    return await context.run_plan(rest, runtime)


_NEVER_AGAIN = {"", "missing", "if_not_present", "never"}
"""Pull policies that leave an image alone that is here."""


async def foresee_up(
    runtime: Runtime, wanted: Desired, up_options: UpOptions
) -> tuple[Plan, Observed]:
    """What an `up` would do after its pulls, and the state that this was told from.

    Registries are asked for what is pulled again; nothing is changed.
    """
    observed = await _look(runtime, wanted, up_options)
    observed = built(await ask_registries(runtime, wanted, observed, up_options))
    return reconcile(wanted, observed, up_options), observed


async def plan_up(runtime: Runtime, wanted: Desired, up_options: UpOptions) -> Plan:
    """The plan that brings the engine to what is desired; nothing is changed by making it."""
    return (await plan_with_observed(runtime, wanted, up_options))[0]


async def plan_with_observed(
    runtime: Runtime, wanted: Desired, up_options: UpOptions
) -> tuple[Plan, Observed]:
    """The plan, and the engine's state that it was made from."""
    observed = await _look(runtime, wanted, up_options)
    return reconcile(wanted, observed, up_options), observed


async def _look(runtime: Runtime, wanted: Desired, up_options: UpOptions) -> Observed:
    check_support(runtime, wanted)
    strangers = up_options.recreate_volumes
    observed = await observe(runtime, wanted.project, wanted, limits=True, strangers=strangers)
    return await with_builds(runtime, wanted, observed, up_options)
