"""Limits whose controller this kernel has not: left out with a warning, as Docker does.

Some systems start without the memory controller. Source: moby's
`verifyPlatformContainerResources`, for the texts.
"""

from __future__ import annotations

from stackr.runtime.engine.container.settings.spec import Resources
from stackr.runtime.engine.linux.cgroup import Hierarchy

__all__ = ["discarded", "possible"]

_DISCARDED = {
    "memory": (
        ("memory", "memory_swap", "memory_reservation", "memory_swappiness"),
        "memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    ),
    "cpu": (
        ("nano_cpus", "cpu_shares", "cpu_period", "cpu_quota"),
        "CPU CFS scheduler or the cgroup is not mounted. Quota and shares discarded.",
    ),
    "cpuset": (
        ("cpuset_cpus", "cpuset_mems"),
        "cpuset or the cgroup is not mounted. CPUset discarded.",
    ),
    "pids": (
        ("pids_limit",),
        "pids limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    ),
    "blkio": (
        (
            "blkio_weight",
            "blkio_weight_device",
            "blkio_device_read_bps",
            "blkio_device_write_bps",
            "blkio_device_read_iops",
            "blkio_device_write_iops",
        ),
        "Block I/O control or the cgroup is not mounted. Weights and rates discarded.",
    ),
}
"""By controller: the limits that need it, and the end of Docker's warning where it is not there."""


def discarded(limits: Resources, cgroups: Hierarchy) -> list[str]:
    """A warning for each kind of limit that is asked for and has no controller."""
    return [
        f"Your kernel does not support {text}"
        for controller, (names, text) in _DISCARDED.items()
        if controller in cgroups.lacks and any(getattr(limits, name) for name in names)
    ]


def possible(limits: Resources, cgroups: Hierarchy) -> Resources:
    """Without those that need a controller which the kernel has not."""
    names = [name for controller in cgroups.lacks for name in _DISCARDED[controller][0]]
    defaults = {
        name: Resources.model_fields[name].get_default(call_default_factory=True) for name in names
    }
    return limits.model_copy(update=defaults) if names else limits
