"""What the user asks of a plan, as values, and how it is said on a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from stackr.options import Choice, Option

__all__ = ["BuildPolicy", "DownOptions", "PullPolicy", "Recreate", "UpOptions"]

Recreate = Literal["diverged", "force", "never"]
PullPolicy = Literal["always", "missing", "never"]
BuildPolicy = Literal["always", "changed", "never"]
_RemoveOrphans = Annotated[
    bool,
    Option(
        "--remove-orphans",
        help="Remove containers of services that are gone",
        variable="COMPOSE_REMOVE_ORPHANS",
    ),
]
_StopTimeout = Annotated[
    float | None,
    Option(
        "--timeout",
        "-t",
        metavar="DURATION",
        kind="seconds",
        help="How long containers may take to stop",
    ),
]


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`up`, and `diff`, which plans the same.

    services: those asked for, empty for all; what they depend on comes along unless `no_deps`.
    scale: replicas by service. recreate: of the services asked for; their dependencies are
    recreated where they diverge, or all of them with `recreate_dependencies`.
    renew_anonymous_volumes: the services asked for are recreated, without the old ones' data.
    recreate_volumes: a volume of another form is made anew, which loses its data.
    build: `changed` builds images that are not here, and again those that stackr has built of what
    has changed; `always` asks the builder for all that are not known to be the same; `never`, none.
    pull: overrides every service's `pull_policy`. wait: the plan ends when all is ready.
    timeout_s: how long a stop may take; None is each container's own. atomic: what is replaced
    or removed is only put aside until all else is ready, so that it can be undone.
    is_rollback: services are updated as their `rollback_config` says.
    host_ports: ports of the host that single containers publish at, by service, number of the
    replica and index in the service's `ports`; the stack file's own hold for the others.
    """

    services: tuple[str, ...] = ()
    no_deps: Annotated[
        bool, Option("--no-deps", help="Only the named services, not what they need")
    ] = False
    scale: Annotated[
        Mapping[str, int],
        Option("--scale", metavar="SERVICE=NUM", help="Replicas of a service"),
    ] = field(default_factory=dict)
    recreate: Annotated[
        Recreate,
        Choice(
            {
                "force": Option("--force-recreate", help="Recreate all, changed or not"),
                "never": Option("--no-recreate", help="Keep what exists, changed or not"),
            }
        ),
    ] = "diverged"
    recreate_dependencies: Annotated[
        bool, Option("--always-recreate-deps", help="Recreate what the services need as well")
    ] = False
    renew_anonymous_volumes: Annotated[
        bool,
        Option(
            "--renew-anon-volumes",
            "-V",
            help="Recreate with new anonymous volumes; the old ones go, with their data",
        ),
    ] = False
    recreate_volumes: Annotated[
        bool,
        Option("--yes", "-y", help="Create volumes again that changed; their data is lost"),
    ] = False
    remove_orphans: _RemoveOrphans = False
    pull: Annotated[
        PullPolicy | None,
        Option("--pull", metavar="POLICY", kind="pull", help="always, missing or never"),
    ] = None
    build: Annotated[
        BuildPolicy,
        Choice(
            {
                "always": Option(
                    "--build", help="Build images, unless their sources are known to be unchanged"
                ),
                "never": Option("--no-build", help="Build nothing, changed or not"),
            }
        ),
    ] = "changed"
    start: Annotated[
        bool, Option("--no-start", turns_off=True, help="Create the containers, and start none")
    ] = True
    wait: Annotated[bool, Option("--wait", help="Wait until all are running or healthy")] = False
    wait_timeout_s: Annotated[
        float | None,
        Option(
            "--wait-timeout", metavar="DURATION", kind="seconds", help="How long to wait at most"
        ),
    ] = None
    timeout_s: _StopTimeout = None
    atomic: Annotated[
        bool, Option("--atomic", help="Wait until all is ready; go back if anything fails")
    ] = False
    is_rollback: bool = False
    host_ports: Mapping[tuple[str, int, int], int] = field(default_factory=dict)

    CONFLICTS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("--always-recreate-deps", "--no-recreate"),
        ("--renew-anon-volumes", "--no-recreate"),
        ("--wait", "--no-start"),
        ("--atomic", "--no-start"),
    )
    """What makes no sense together on a command line."""


@dataclass(frozen=True, slots=True)
class DownOptions:
    """`down`. services: empty for all, and for the networks. images: of which the tags go."""

    services: tuple[str, ...] = ()
    volumes: Annotated[
        bool, Option("--volumes", "-v", help="Remove the stack's volumes, with their data")
    ] = False
    remove_orphans: _RemoveOrphans = False
    timeout_s: _StopTimeout = None
    images: Annotated[
        Literal["all", "local"] | None,
        Option("--rmi", metavar="WHICH", kind="rmi", help="Remove images: all or local"),
    ] = None
