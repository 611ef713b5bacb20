"""What `stackr up` was asked for, and in part `create` and `scale`: checked, with nothing run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stackr.cli.targets import Targets
from stackr.errors import InvalidArgument

__all__ = ["UpArguments"]


@dataclass(frozen=True, slots=True)
class UpArguments:
    """`stackr up`. Times are in seconds; None is the stack's own or no limit.

    attach: these services' output only; empty is all of them. ttl_s: after which the engine takes
    the stack down.
    """

    targets: Targets = field(default_factory=Targets)
    detach: bool = False
    wait: bool = False
    wait_timeout_s: float | None = None
    timeout_s: float | None = None
    scale: dict[str, int] = field(default_factory=dict)
    force_recreate: bool = False
    no_recreate: bool = False
    always_recreate_deps: bool = False
    renew_anonymous_volumes: bool = False
    recreate_volumes: bool = False
    remove_orphans: bool = False
    pull: Literal["always", "missing", "never"] | None = None
    no_deps: bool = False
    no_start: bool = False
    atomic: bool = False
    abort_on_exit: bool = False
    abort_on_failure: bool = False
    exit_code_from: str | None = None
    attach: tuple[str, ...] = ()
    attach_dependencies: bool = False
    no_attach: tuple[str, ...] = ()
    watch: bool = False
    log_prefix: bool = True
    timestamps: bool = False
    ttl_s: float | None = None

    def __post_init__(self) -> None:
        """Raises InvalidArgument for options that contradict each other."""
        for first, second in (
            ("force_recreate", "no_recreate"),
            ("always_recreate_deps", "no_recreate"),
            ("renew_anonymous_volumes", "no_recreate"),
            ("detach", "abort_on_exit"),
            ("detach", "abort_on_failure"),
            ("wait", "abort_on_exit"),
            ("wait", "abort_on_failure"),
            ("abort_on_exit", "abort_on_failure"),
            ("detach", "attach"),
            ("detach", "attach_dependencies"),
            ("wait", "attach"),
            ("wait", "attach_dependencies"),
            ("attach", "attach_dependencies"),
            ("wait", "no_start"),
            ("atomic", "no_start"),
            ("atomic", "abort_on_exit"),
            ("atomic", "abort_on_failure"),
            ("detach", "watch"),
            ("wait", "watch"),
            ("no_start", "watch"),
            ("abort_on_exit", "watch"),
            ("abort_on_failure", "watch"),
            ("exit_code_from", "watch"),
        ):
            if getattr(self, first) and getattr(self, second):
                raise InvalidArgument(
                    f"up: {_SPELLING[first]} and {_SPELLING[second]} cannot be combined"
                )
        if self.wait_timeout_s is not None and not (self.wait or self.atomic):
            raise InvalidArgument("up: --wait-timeout needs --wait or --atomic")
        if self.ttl_s is not None and self.is_attached:
            raise InvalidArgument("up: --ttl needs --detach or --wait")

    @property
    def is_attached(self) -> bool:
        return not (self.detach or self.wait or self.no_start)


_SPELLING = {
    "force_recreate": "--force-recreate",
    "no_recreate": "--no-recreate",
    "always_recreate_deps": "--always-recreate-deps",
    "renew_anonymous_volumes": "--renew-anon-volumes",
    "detach": "--detach",
    "wait": "--wait",
    "no_start": "--no-start",
    "atomic": "--atomic",
    "attach": "--attach",
    "attach_dependencies": "--attach-dependencies",
    "watch": "--watch",
    "abort_on_exit": "--abort-on-container-exit",
    "abort_on_failure": "--abort-on-container-failure",
    "exit_code_from": "--exit-code-from",
}
