"""Entering a control group without the wait for it.

The kernel moves a process between groups only once every processor has passed a quiet point, which
takes it some 10 ms, unless somebody else has just moved one. Who knows that a process is about to
be moved has the kernel begin with it: this process enters the group in which it is already.
Source: the kernel's kernel/cgroup/cgroup.c, `cgroup_attach_lock`; kernel/rcu/sync.c.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from stackr.runtime.engine.linux.cgroup import Hierarchy

__all__ = ["EntryAhead", "own_group"]

_SELF = b"0"


class EntryAhead:
    """membership: where this process's groups are told."""

    def __init__(self, hierarchy: Hierarchy, membership: Path = Path("/proc/self/cgroup")) -> None:
        self._hierarchy = hierarchy
        self._membership = membership
        self._under_way: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Somebody enters a group in the next moments. It is no failure where that has to wait."""
        if self._under_way is None or self._under_way.done():
            loop = asyncio.get_running_loop()
            self._under_way = loop.run_in_executor(None, self._enter)

    def _enter(self) -> None:
        with suppress(OSError):
            group = own_group(self._hierarchy, self._membership.read_text())
            if group is not None:
                with (group / "cgroup.procs").open("r+b", buffering=0) as file:  # makes none
                    file.write(_SELF)


def own_group(hierarchy: Hierarchy, membership: str) -> Path | None:
    """The folder of a group that a process is in; None where it has none.

    membership: its /proc/PID/cgroup, see cgroups(7).
    """
    for line in membership.splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            if bool(controller) is not hierarchy.is_v2:
                folder = hierarchy.path(group, controller)
                if folder is not None:
                    return folder
    return None
