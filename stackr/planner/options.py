"""What the user asks of a plan, as values; the command line fills these in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["DownOptions", "PullPolicy", "Recreate", "UpOptions"]

Recreate = Literal["diverged", "force", "never"]
PullPolicy = Literal["always", "missing", "never"]


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`up`, and `diff`, which plans the same.

    services: those asked for, empty for all; what they depend on comes along unless `no_deps`.
    scale: replicas by service. recreate: of the services asked for; their dependencies are
    recreated where they diverge, or all of them with `recreate_dependencies`.
    renew_anonymous_volumes: the services asked for are recreated, without the old ones' data.
    recreate_volumes: a volume of another form is made anew, which loses its data.
    pull: overrides every service's `pull_policy`. wait: the plan ends when all is ready.
    timeout_s: how long a stop may take; None is each container's own. atomic: what is replaced
    or removed is only put aside until all else is ready, so that it can be undone.
    is_rollback: services are updated as their `rollback_config` says.
    host_ports: ports of the host that single containers publish at, by service, number of the
    replica and index in the service's `ports`; the stack file's own hold for the others.
    """

    services: tuple[str, ...] = ()
    no_deps: bool = False
    scale: Mapping[str, int] = field(default_factory=dict)
    recreate: Recreate = "diverged"
    recreate_dependencies: bool = False
    renew_anonymous_volumes: bool = False
    recreate_volumes: bool = False
    remove_orphans: bool = False
    pull: PullPolicy | None = None
    start: bool = True
    wait: bool = False
    wait_timeout_s: float | None = None
    timeout_s: float | None = None
    atomic: bool = False
    is_rollback: bool = False
    host_ports: Mapping[tuple[str, int, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DownOptions:
    """`down`. services: empty for all, and for the networks. images: of which the tags go."""

    services: tuple[str, ...] = ()
    volumes: bool = False
    remove_orphans: bool = False
    images: Literal["all", "local"] | None = None
    timeout_s: float | None = None
