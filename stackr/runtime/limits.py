"""What one container may use and when it is started again: what can change while it runs.

Apart from `container.py`, as a plan with nothing to do compares it with what the engine reports.
Units are in the names; 0, "" and None are no limit of one's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

__all__ = [
    "Blkio",
    "Resources",
    "RestartPolicy",
    "changed_limits",
    "fixed_limits",
    "without_discarded",
]


@dataclass(frozen=True, slots=True)
class Blkio:
    """Pairs are of a device's path and its weight or rate."""

    weight: int = 0
    weight_device: tuple[tuple[str, int], ...] = ()
    read_bps: tuple[tuple[str, int], ...] = ()
    read_iops: tuple[tuple[str, int], ...] = ()
    write_bps: tuple[tuple[str, int], ...] = ()
    write_iops: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits of one container. memory_swap_bytes -1 means unlimited; pids_limit -1 likewise."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    memory_reservation_bytes: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_quota_us: int = 0
    cpu_period_us: int = 0
    cpu_rt_runtime_us: int = 0
    cpu_rt_period_us: int = 0
    cpu_count: int = 0
    cpu_percent: int = 0
    cpuset_cpus: str = ""
    pids_limit: int = 0
    blkio: Blkio | None = None


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """name: no, always, unless-stopped or on-failure."""

    name: str = ""
    max_retries: int = 0


_FIXED = ("oom_kill_disable", "cpu_count", "cpu_percent")
_LIFTED_BY_DOCKER = ("memory_swap_bytes", "cpu_quota_us", "pids_limit")
_KEPT_BY_DOCKER = (
    "memory_swappiness",
    "cpu_rt_runtime_us",
    "cpu_rt_period_us",
)


def changed_limits(found: Resources, wanted: Resources) -> tuple[str, ...]:
    """The fields in which a container's limits differ from what is wanted, in their order.

    What means the same is equal: engines fill in the swap that goes with a memory limit, and have
    several figures for no limit.
    """
    found, wanted = _plain(found), _plain(wanted)
    if not wanted.memory_swap_bytes and found.memory_swap_bytes == 2 * found.memory_bytes:
        found = replace(found, memory_swap_bytes=0)
    return tuple(
        field.name
        for field in fields(Resources)
        if getattr(found, field.name) != getattr(wanted, field.name)
    )


def _plain(limits: Resources) -> Resources:
    """One figure for each meaning; -1 stays where it differs from the default (swap)."""
    return replace(
        limits,
        memory_bytes=max(0, limits.memory_bytes),
        memory_swap_bytes=limits.memory_swap_bytes if limits.memory_bytes > 0 else 0,
        memory_reservation_bytes=max(0, limits.memory_reservation_bytes),
        memory_swappiness=None if limits.memory_swappiness == -1 else limits.memory_swappiness,
        nano_cpus=max(0, limits.nano_cpus),
        cpu_quota_us=max(0, limits.cpu_quota_us),
        pids_limit=max(0, limits.pids_limit),
        blkio=None if limits.blkio == Blkio() else limits.blkio,
    )


def without_discarded(found: Resources, wanted: Resources) -> Resources:
    """`wanted`, less what a Docker Engine discarded as its kernel has no such limit.

    It warns and makes the container without. A limit that is not there was never there, as no
    update takes one away, but for that of processes; swap is then unlimited.
    Source: moby, daemon/daemon_unix.go, `verifyPlatformContainerResources`.
    """
    discarded = {
        field.name: getattr(found, field.name)
        for field in fields(Resources)
        if not getattr(found, field.name) and field.name not in _NEVER_DISCARDED
    }
    if found.memory_swap_bytes < 0:
        discarded["memory_swap_bytes"] = found.memory_swap_bytes
    if wanted.blkio is not None:
        discarded["blkio"] = _blkio_without_discarded(found.blkio or Blkio(), wanted.blkio)
    return replace(wanted, **discarded)


_NEVER_DISCARDED = ("pids_limit", "memory_swap_bytes")


def _blkio_without_discarded(found: Blkio, wanted: Blkio) -> Blkio:
    names = [field.name for field in fields(Blkio) if not getattr(found, field.name)]
    return replace(wanted, **{name: getattr(found, name) for name in names})


def fixed_limits(found: Resources, wanted: Resources, *, lifts: bool) -> tuple[str, ...]:
    """The changes that `update_container` cannot make, so that only a new container has them.

    lifts: `Capabilities.update_lifts`. Without it, an engine keeps most limits that it has once
    been given, and everything of single block devices.
    """
    changed = changed_limits(found, wanted)
    if lifts:
        return tuple(name for name in changed if name in _FIXED)
    return tuple(name for name in changed if not _docker_changes(found, wanted, name))


def _docker_changes(found: Resources, wanted: Resources, name: str) -> bool:
    if name in _FIXED or name in _KEPT_BY_DOCKER:
        return False
    if name == "blkio":
        before, after = found.blkio or Blkio(), wanted.blkio or Blkio()
        return replace(before, weight=after.weight) == after and after.weight > 0
    if name in ("nano_cpus", "cpu_quota_us", "cpu_period_us") and _changes_unit(found, wanted):
        return False
    if name == "memory_swap_bytes" and not wanted.memory_bytes:
        return False
    return bool(getattr(wanted, name)) or name in _LIFTED_BY_DOCKER


def _changes_unit(found: Resources, wanted: Resources) -> bool:
    """Between `cpus` and a quota, which exclude each other there."""
    quota = found.cpu_quota_us > 0 or found.cpu_period_us > 0
    return bool((quota and wanted.nano_cpus) or (found.nano_cpus and not wanted.nano_cpus))
