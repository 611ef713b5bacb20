"""What a test was asked for, checked, with nothing read or run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stackr.planner.desired.instance import Keep

__all__ = ["EnvironmentOptions"]


@dataclass(frozen=True, slots=True)
class EnvironmentOptions:
    """Times are in seconds, None is no limit.

    command: () for none: the environment is all that is wanted. ttl_s: `is_ttl_given`
    tells it from the default.
    stop_timeout_s: how long containers may take to stop at the end; 0 kills them.
    ports_file: where the variables go as well. publish: ports that the stack file does not, as
    `db:5432`, `db` for all that it exposes, or `all`.
    """

    command: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    scale: dict[str, int] = field(default_factory=dict)
    pull: Literal["always", "missing", "never"] | None = None
    keep: bool = False
    keep_on_failure: bool = False
    artifacts: Path | None = None
    timeout_s: float | None = None
    wait_timeout_s: float | None = 300.0
    ttl_s: float | None = 3600.0
    is_ttl_given: bool = False
    stop_timeout_s: float = 0
    fixed: Keep = field(default_factory=Keep)
    ports_file: Path | None = None
    publish: tuple[str, ...] = ()
