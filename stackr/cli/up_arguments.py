"""What `stackr up` was asked for, and in part `create` and `scale`: checked, with nothing run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from stackr.cli.declared import Group, Words
from stackr.cli.targets import Targets
from stackr.options import Contradiction, Option, check_conflicts
from stackr.planner.plan.options import UpOptions
from stackr.stack.workloads.refusals import refuse_given

__all__ = ["PLANNED", "UpArguments"]

PLANNED = (
    *("wait", "wait_timeout_s", "timeout_s", "scale", "recreate", "remove_orphans", "pull"),
    *("recreate_dependencies", "renew_anonymous_volumes", "no_deps", "start", "atomic"),
    *("recreate_volumes", "build"),
)
"""Those of the plan's options that `up` has."""


@dataclass(frozen=True, slots=True)
class UpArguments:
    """`stackr up`. Times are in seconds; None is the stack's own or no limit.

    attach: these services' output only; empty is all of them. ttl_s: after which the engine takes
    the stack down. menu: whether keys do something while output is shown.
    """

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    detach: Annotated[bool, Option("--detach", "-d", help="Leave the containers running")] = False
    options: Annotated[
        UpOptions,
        Group(PLANNED, {"--wait": "Wait until all are running or healthy; implies -d"}),
    ] = field(default_factory=UpOptions)
    watch: Annotated[
        bool, Option("--watch", "-w", help="Follow changes of source files, as watch does")
    ] = False
    quiet_pull: Annotated[
        bool, Option("--quiet-pull", help="Pull without showing how far it is")
    ] = False
    quiet_build: Annotated[
        bool, Option("--quiet-build", help="Build without showing how far it is")
    ] = False
    timings: Annotated[
        bool, Option("--timings", help="Show where the time went, and the longest chain")
    ] = False
    menu: Annotated[
        bool, Option("--menu/--no-menu", help="Keys: d detaches, w watches, r restarts a service")
    ] = True
    abort_on_exit: Annotated[
        bool, Option("--abort-on-container-exit", help="Stop all when one container ends")
    ] = False
    abort_on_failure: Annotated[
        bool, Option("--abort-on-container-failure", help="Stop all when one container fails")
    ] = False
    exit_code_from: Annotated[
        str | None,
        Option("--exit-code-from", metavar="SERVICE", help="Exit as this service does"),
    ] = None
    attach: Annotated[
        tuple[str, ...],
        Option("--attach", metavar="SERVICE", help="Show only this service's output"),
    ] = ()
    attach_dependencies: Annotated[
        bool,
        Option("--attach-dependencies", help="Show the output of what the services need as well"),
    ] = False
    no_attach: Annotated[
        tuple[str, ...],
        Option("--no-attach", metavar="SERVICE", help="Do not show this service's output"),
    ] = ()
    no_log_prefix: Annotated[
        bool, Option("--no-log-prefix", help="Show no names before the lines of output")
    ] = False
    timestamps: Annotated[
        bool, Option("--timestamps", help="Show times before the lines of output")
    ] = False
    ttl_s: Annotated[
        float | None,
        Option(
            "--ttl",
            metavar="DURATION",
            kind="span",
            help="Let the engine remove it after this time",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Raises Contradiction for options that contradict each other."""
        check_conflicts(
            self,
            *UpOptions.CONFLICTS,
            ("--detach", "--abort-on-container-exit"),
            ("--detach", "--abort-on-container-failure"),
            ("--wait", "--abort-on-container-exit"),
            ("--wait", "--abort-on-container-failure"),
            ("--abort-on-container-exit", "--abort-on-container-failure"),
            ("--detach", "--attach"),
            ("--detach", "--attach-dependencies"),
            ("--wait", "--attach"),
            ("--wait", "--attach-dependencies"),
            ("--attach", "--attach-dependencies"),
            ("--atomic", "--abort-on-container-exit"),
            ("--atomic", "--abort-on-container-failure"),
            ("--detach", "--watch"),
            ("--wait", "--watch"),
            ("--no-start", "--watch"),
            ("--abort-on-container-exit", "--watch"),
            ("--abort-on-container-failure", "--watch"),
            ("--exit-code-from", "--watch"),
        )
        options = self.options
        if options.wait_timeout_s is not None and not (options.wait or options.atomic):
            raise Contradiction("--wait-timeout needs --wait or --atomic")
        if self.ttl_s is not None and self.is_attached:
            raise Contradiction("--ttl needs --detach or --wait")

    def check_cluster(self) -> None:
        """Raises NotSupported for what needs the containers to be this engine's own."""
        refused = {
            "--watch": self.watch,
            "--abort-on-container-exit": self.abort_on_exit,
            "--abort-on-container-failure": self.abort_on_failure,
            "--exit-code-from": self.exit_code_from is not None,
            "--attach": bool(self.attach),
            "--attach-dependencies": self.attach_dependencies,
            "--no-attach": bool(self.no_attach),
        }
        hint = "stackr logs -f shows what they write"
        refuse_given(refused, "make the containers", hint=hint)

    @property
    def is_attached(self) -> bool:
        return not (self.detach or self.options.wait or not self.options.start)

    @property
    def plan_options(self) -> UpOptions:
        """What the plan is made with: of the services that are named."""
        return replace(self.options, services=self.targets.services)
