"""Resource limits of processes that run: what an update changes of them. Source: prlimit(2)."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["set_process_limits"]


def set_process_limits(pids: Iterable[int], limits: Iterable[Mapping[str, Any]]) -> None:
    """limits: as `process.rlimits` of config.json has them. Raises OSError where the kernel refuses
    one; processes that have ended meanwhile are passed over, and those that they begin inherit.
    """
    wanted = [
        (getattr(resource, limit["type"]), (_signed(limit["soft"]), _signed(limit["hard"])))
        for limit in limits
    ]
    for pid in pids:
        for number, values in wanted:
            try:
                resource.prlimit(pid, number, values)
            except ProcessLookupError:
                break
            except ValueError as error:
                raise OSError(0, str(error)) from error


def _signed(value: int) -> int:
    """The kernel's largest number is no limit, which Python calls -1."""
    return resource.RLIM_INFINITY if value >= 2**63 else value
