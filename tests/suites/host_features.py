"""What of `service_attributes.Case.needs` this host has, whatever engine runs on it."""

from __future__ import annotations

import os
from pathlib import Path

from stackr.runtime.engine.linux import cgroup

__all__ = ["disk", "host_features"]

_CAP_SYS_RESOURCE = 24


def disk() -> str:
    """A block device of the host's, "" where there is none."""
    real = (path for path in Path("/sys/block").iterdir() if not path.name.startswith(_VIRTUAL))
    return next((f"/dev/{path.name}" for path in real if Path("/dev", path.name).exists()), "")


_VIRTUAL = ("loop", "ram", "zram", "dm-")


def host_features() -> frozenset[str]:
    """The needs of cases that depend on the kernel."""
    groups = cgroup.detect()
    is_v1 = not groups.is_v2
    has = {
        "disk": bool(disk()) and Path("/dev/loop0").exists(),
        "weight": _has_weights(groups),
        "bfq": _has_weights(groups) and "[bfq]" in _scheduler(disk()),
        "realtime": groups.has_realtime,
        "swap": groups.swap_limit,
        "swappiness": is_v1,
        "oom_kill_disable": is_v1,
        "privileged": _is_allowed(_CAP_SYS_RESOURCE),
    }
    return frozenset(name for name, is_there in has.items() if is_there)


def _has_weights(groups: cgroup.Hierarchy) -> bool:
    tree = groups.root if groups.is_v2 else groups.controllers.get("blkio")
    names = ("io.weight", "io.bfq.weight", "blkio.weight", "blkio.bfq.weight")
    return tree is not None and any(any(tree.glob(f"*/{name}")) for name in names)


def _scheduler(device: str) -> str:
    file = Path("/sys/block", Path(device).name, "queue/scheduler")
    return file.read_text() if file.exists() else ""


def _is_allowed(capability: int) -> bool:
    """Whether it is in this process's bounding set."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(line.split()[1], 16) >> capability & 1)
