"""`stackr pull`: the services' images, without touching containers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice
from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.options import Option
from stackr.planner.desired.project import Desired
from stackr.planner.images.refresh import plan_pull
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.stack.planning import check_support, desire

__all__ = ["pull"]


@dataclass(frozen=True, slots=True)
class PullArguments:
    """`stackr pull`. ignore_buildable: there for Docker Compose's sake, as it is so anyway."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress")] = False
    ignore_failures: Annotated[
        bool, Option("--ignore-pull-failures", help="Pull what can be pulled, and succeed")
    ] = False
    include_deps: Annotated[
        bool, Option("--include-deps", help="What the named services need as well")
    ] = False
    ignore_buildable: Annotated[
        bool,
        Option(
            "--ignore-buildable", help="Leave out images that are built, which stackr always does"
        ),
    ] = False
    policy: Annotated[str, Option("--policy", metavar="POLICY", help="always or missing")] = (
        "always"
    )


@takes(PullArguments)
def pull(ctx: typer.Context, arguments: PullArguments) -> int:
    """Pull the services' images."""
    options, targets = options_of(ctx), arguments.targets
    check_choice("--policy", arguments.policy, ("always", "missing"))
    if arguments.quiet:
        options = options.silent()
    up_options = UpOptions(
        services=targets.services,
        no_deps=not arguments.include_deps and bool(targets.services),
        pull="missing" if arguments.policy == "missing" else None,
    )
    with open_session(options) as session:
        project = source_of(options, targets.files).load(targets.services)
        wanted = desire(
            project, up_options, engine=options.engine, all_resources=options.all_resources
        )
        code = session.on_engine(lambda runtime: _pull(session, runtime, wanted, up_options))
    return 0 if arguments.ignore_failures else code


async def _pull(session: Session, runtime: Runtime, wanted: Desired, up_options: UpOptions) -> int:
    check_support(runtime, wanted)
    plan = plan_pull(wanted, await observe(runtime, wanted.project, wanted), up_options)
    return await session.context().run_plan(plan, runtime)
