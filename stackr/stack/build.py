"""`build`: images of a stack's services, without touching containers."""

from __future__ import annotations

import asyncio

from stackr.errors import NotFound
from stackr.executor.outcome import Outcome
from stackr.planner.desired.image_build import BuildOptions, PlannedBuild
from stackr.planner.desired.project import Desired
from stackr.planner.images.building import plan_builds
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.stack.build_debug import debug_failures, failed_builds
from stackr.stack.builds import pull_bases, with_builds
from stackr.stack.context import Context
from stackr.stack.oneoff import Converse
from stackr.stack.planning import check_support

__all__ = ["build_images", "chosen_builds", "of_images"]

_OF_IMAGES = ("name", "image", "build", "platform", "pull_policy", "profiles", "depends_on")


def of_images(project: Project) -> Project:
    """The project as far as its images go, which one engine makes for another one to run.

    Jobs, overlay networks or ports of many nodes are the business of the engine that runs it.
    """
    builds = [each.build for each in project.services.values() if each.build is not None]
    granted = {grant.source for build in builds for grant in build.secrets}
    return project.model_copy(
        update={
            "services": {name: _of_image(each) for name, each in project.services.items()},
            "networks": {},
            "volumes": {},
            "configs": {},
            "secrets": {key: each for key, each in project.secrets.items() if key in granted},
        }
    )


def _of_image(service: Service) -> Service:
    return Service.model_construct(**{name: getattr(service, name) for name in _OF_IMAGES})


def chosen_builds(project: Project, services: tuple[str, ...]) -> UpOptions:
    """Options that select what is built: these services, or all that have a `build` section.

    Raises NotFound for a service that is not there or is not built.
    """
    for name in services:
        service = project.services.get(name)
        if service is None:
            raise NotFound(f"no such service: {name}")
    named = services or tuple(
        name for name, service in project.services.items() if service.build is not None
    )
    return UpOptions(services=named, no_deps=True, build="always")


async def build_images(
    context: Context,
    runtime: Runtime,
    wanted: Desired,
    up_options: UpOptions,
    extra: BuildOptions,
    *,
    converse: Converse | None = None,
) -> int:
    """The exit code; failures are reported. converse: for `extra.debug`; see `run_one_off`."""
    check_support(runtime, wanted)
    if code := await pull_bases(context, runtime, wanted, up_options, extra):
        return code
    observed = await observe(runtime, wanted.project, wanted)
    observed = await with_builds(runtime, wanted, observed, up_options, extra)
    builds: list[PlannedBuild] = list(observed.builds.values())
    plan = plan_builds(wanted, builds)
    if context.is_dry_run or not extra.debug:
        return await context.run_plan(plan, runtime)
    outcome = Outcome(plan)
    try:
        await context.apply_plan(outcome, runtime)
        code = await context.tell_failures(outcome, runtime, None)
    except BaseException:
        await asyncio.shield(debug_failures(runtime, failed_builds(outcome), None))
        raise
    await debug_failures(runtime, failed_builds(outcome), converse)
    return code
