"""`stackr push`: the services' images to their registries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.options import Option
from stackr.planner.desired.project import Desired
from stackr.planner.images.pushing import not_pushed, plan_push
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.build import of_images
from stackr.stack.planning import desire

__all__ = ["push"]


@dataclass(frozen=True, slots=True)
class PushArguments:
    """`stackr push`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress")] = False
    ignore_failures: Annotated[
        bool, Option("--ignore-push-failures", help="Push what can be pushed, and succeed")
    ] = False
    include_deps: Annotated[
        bool, Option("--include-deps", help="What the named services need as well")
    ] = False


@takes(PushArguments)
def push(ctx: typer.Context, arguments: PushArguments) -> int:
    """Push the services' images to their registries."""
    options, targets = options_of(ctx), arguments.targets
    if arguments.quiet:
        options = options.silent()
    up_options = UpOptions(
        services=targets.services,
        no_deps=not arguments.include_deps and bool(targets.services),
    )
    with open_session(options) as session:
        project = source_of(options, targets.files).load(targets.services)
        wanted = desire(
            of_images(project),
            up_options,
            engine=options.engine,
            all_resources=options.all_resources,
        )
        code = session.on_engine(lambda runtime: _push(session, runtime, wanted, targets.services))
    return 0 if arguments.ignore_failures else code


async def _push(
    session: Session, runtime: Runtime, wanted: Desired, asked_for: tuple[str, ...]
) -> int:
    plan = plan_push(wanted, await observe(runtime, wanted.project, wanted), asked_for)
    for service in not_pushed(wanted, plan):
        session.view.message(f" Service {service}  Skipped: its image was not made here")
    return await session.context().run_plan(plan, runtime)
