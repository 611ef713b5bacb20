"""Where in a container's /proc something may be mounted: hardly anywhere, and why not; pure.

What is there is the kernel's word for the OCI runtime, and for programs in the container. Source:
runc, libcontainer/rootfs_linux.go, `checkProcMount`, with its texts.
"""

from __future__ import annotations

import posixpath
from typing import Final

__all__ = ["PROC", "PROC_FILES", "proc_refusal"]

PROC: Final = "/proc"
PROC_FILES: Final = frozenset(
    f"{PROC}/{name}"
    for name in (
        *("cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat", "swaps"),
        *("uptime", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
    )
)
"""Files that lxcfs and its like put something else in the place of."""


def proc_refusal(target: str, *, is_bind: bool) -> str:
    """Why nothing is mounted at a path of a container; "" where it may be.

    target: an absolute path. is_bind: of something that the host has, a file perhaps; at /proc
    itself, it must be a /proc.
    """
    path = posixpath.normpath(f"/{target.lstrip('/')}")
    if path == PROC:
        return "" if is_bind else f'"{path}" cannot be mounted because it is not of type proc'
    if not path.startswith(f"{PROC}/") or (is_bind and path in PROC_FILES):
        return ""
    return f'"{path}" cannot be mounted because it is inside {PROC}'
