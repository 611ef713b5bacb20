"""Builds in a stack's plans; what that takes is imported where a service is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackr.planner.desired.project import Desired
from stackr.planner.images.building import plan_bases
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.context import Context

if TYPE_CHECKING:
    from stackr.planner.desired.image_build import BuildOptions

__all__ = ["are_built", "pull_bases", "with_builds"]


def are_built(wanted: Desired, options: UpOptions) -> bool:
    """Whether any image may have to be built."""
    return options.build != "never" and any(each.is_built for each in wanted.services.values())


async def with_builds(
    runtime: Runtime,
    wanted: Desired,
    observed: Observed,
    options: UpOptions,
    extra: BuildOptions | None = None,
) -> Observed:
    """`observed`, with the builds of the wanted services; see `build_records.look_at_builds`."""
    if not are_built(wanted, options):
        return observed
    # The Dockerfile parser takes a part of a command's start, which those without builds save.
    from stackr.stack.build_records import look_at_builds

    return await look_at_builds(runtime, wanted, observed, options, extra)


async def pull_bases(
    context: Context,
    runtime: Runtime,
    wanted: Desired,
    options: UpOptions,
    extra: BuildOptions | None = None,
) -> int:
    """Have what will be built on here, so that it can be recorded; the exit code."""
    if not are_built(wanted, options):
        return 0
    observed = await observe(runtime, wanted.project, wanted)
    observed = await with_builds(runtime, wanted, observed, options, extra)
    plan = plan_bases(wanted, observed)
    return 0 if plan.is_empty else await context.run_plan(plan, runtime)
