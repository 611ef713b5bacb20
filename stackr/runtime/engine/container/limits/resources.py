"""Limits of a container: checked as Docker checks them, and in the OCI runtime's words.

The OCI runtime turns these figures (cgroup v1's) into the host's layout.
Source: Docker Engine API `Resources`; OCI runtime-spec config-linux.md "Control groups"; moby's
texts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Any

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.limits.controllers import possible
from stackr.runtime.engine.container.settings.spec import (
    HostConfig,
    Resources,
    Ulimit,
)
from stackr.runtime.engine.linux.cgroup import Hierarchy, parse_set, show_set

__all__ = [
    "adapted",
    "check_limits",
    "devices_of",
    "resources",
    "rlimits",
]

_LEAST_MEMORY = 6 << 20
_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1000
_MOST_PERIOD_US = 1_000_000
_REALTIME_PERIOD_US = 1_000_000
_RATES = (
    "blkio_device_read_bps",
    "blkio_device_write_bps",
    "blkio_device_read_iops",
    "blkio_device_write_iops",
)
_RLIMITS = (
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)


def check_limits(
    limits: Resources, cgroups: Hierarchy, *, cpus: int, partial: bool = False
) -> None:
    """Raise InvalidArgument, with Docker's text, for limits that contradict each other or the host.

    cpus: how many the host has. partial: an update, which says nothing of what stays.
    """
    if limits.memory_swap > 0 and limits.memory == 0 and not partial:
        raise InvalidArgument(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    _check_memory(limits, cgroups)
    _check_cpu(limits, cpus)
    _check_realtime(limits, cgroups)
    for kind, text, available in (
        ("cpus", limits.cpuset_cpus, cgroups.available("cpus")),
        ("mems", limits.cpuset_mems, cgroups.available("mems")),
    ):
        if "cpuset" not in cgroups.lacks:
            _check_set(kind, text, available)
    _check_blkio(limits)


def _check_memory(limits: Resources, cgroups: Hierarchy) -> None:
    if limits.memory and limits.memory < _LEAST_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if limits.memory_reservation < 0:
        raise InvalidArgument("memory reservation cannot be negative")
    _check_swappiness(limits.memory_swappiness, cgroups)
    if 0 < limits.memory_swap < limits.memory:
        raise InvalidArgument(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if 0 < limits.memory < limits.memory_reservation:
        raise InvalidArgument(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if 0 < limits.memory_reservation < _LEAST_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")


def _check_swappiness(swappiness: int | None, cgroups: Hierarchy) -> None:
    if swappiness is None or swappiness == -1:
        return
    if not 0 <= swappiness <= 100:
        raise InvalidArgument(
            f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )
    if cgroups.is_v2:
        raise NotSupported("HostConfig.MemorySwappiness: cgroup v2 has no such setting")


def _check_realtime(limits: Resources, cgroups: Hierarchy) -> None:
    period, runtime = limits.cpu_realtime_period, limits.cpu_realtime_runtime
    if not period and not runtime:
        return
    if period < 0 or runtime < 0:
        raise InvalidArgument("invalid cpu real-time period or runtime: must be positive")
    if not cgroups.has_realtime:
        raise NotSupported(
            "HostConfig.CpuRealtimeRuntime: your kernel does not support CPU real-time scheduling"
            " in control groups"
        )
    if runtime > (period or _REALTIME_PERIOD_US):
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")


def _check_set(kind: str, text: str, available: frozenset[int]) -> None:
    if not text:
        return
    try:
        wanted = parse_set(text)
    except ValueError:
        raise InvalidArgument(f"Invalid value {text} for cpuset {kind}") from None
    if not wanted <= available:
        what = "CPUs" if kind == "cpus" else "memory nodes"
        raise InvalidArgument(
            f"Requested {what} are not available - requested {text}, available:"
            f" {show_set(available)}"
        )


def _check_blkio(limits: Resources) -> None:
    weights = [limits.blkio_weight, *(device.weight for device in limits.blkio_weight_device)]
    if any(weight and not 10 <= weight <= 1000 for weight in weights):
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    devices_of(limits)
    for name in _RATES:
        for device in getattr(limits, name):
            if device.rate <= 0:
                raise InvalidArgument(f"invalid rate for device: {device.path}: {device.rate}")


def devices_of(limits: Resources) -> dict[str, tuple[int, int]]:
    """The numbers of every block device that the limits name, by its path.

    Raises InvalidArgument where there is none.
    """
    entries = [limits.blkio_weight_device, *(getattr(limits, name) for name in _RATES)]
    return {device.path: _numbers(device.path) for listed in entries for device in listed}


def _numbers(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        why = error.strerror.lower() if isinstance(error, OSError) and error.strerror else error
        raise InvalidArgument(f"stat {path}: {why}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidArgument(f"{path}: is not a block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _check_cpu(limits: Resources, cpus: int) -> None:
    if limits.nano_cpus and limits.cpu_period:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if limits.nano_cpus and limits.cpu_quota:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if not 0 <= limits.nano_cpus <= cpus * 10**9:
        raise InvalidArgument(
            f"Range of CPUs is from 0.01 to {cpus:.2f}, as there are only {cpus} CPUs available"
        )
    if limits.cpu_period and not _LEAST_QUOTA_US <= limits.cpu_period <= _MOST_PERIOD_US:
        raise InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < limits.cpu_quota < _LEAST_QUOTA_US:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if limits.cpu_shares < 0:
        raise InvalidArgument(f"invalid CPU shares ({limits.cpu_shares}): value must be positive")


def resources(
    limits: Resources, cgroups: Hierarchy, *, oom_kill_disable: bool = False
) -> dict[str, Any]:
    """`linux.resources` of config.json without its devices; empty where there is no limit.

    What the host cannot limit is left out, as `discarded` tells; so is swap alone. The rest of the
    limits is `group_writes`'.
    """
    limits = possible(limits, cgroups)
    parts = {
        "memory": _memory(limits, cgroups.swap_limit, oom_kill_disable),
        "cpu": _cpu(limits, shares=not cgroups.is_v2),
        "pids": {"limit": limits.pids_limit} if (limits.pids_limit or 0) > 0 else {},
    }
    return {name: part for name, part in parts.items() if part}


def _memory(limits: Resources, swap_limit: bool, oom_kill_disable: bool) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    if limits.memory > 0:
        memory["limit"] = limits.memory
    if limits.memory_reservation:
        memory["reservation"] = limits.memory_reservation
    if limits.memory > 0 and swap_limit:
        memory["swap"] = limits.memory_swap or 2 * limits.memory
    if limits.memory_swappiness not in (None, -1):
        memory["swappiness"] = limits.memory_swappiness
    if oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(limits: Resources, *, shares: bool) -> dict[str, Any]:
    cpu: dict[str, Any] = {}
    if limits.nano_cpus:
        cpu["quota"] = limits.nano_cpus * _PERIOD_US // 10**9
        cpu["period"] = _PERIOD_US
    for name, value in (
        ("shares", limits.cpu_shares if shares else 0),
        ("quota", limits.cpu_quota),
        ("period", limits.cpu_period or (_PERIOD_US if limits.cpu_quota else 0)),
        ("realtimePeriod", limits.cpu_realtime_period),
        ("realtimeRuntime", limits.cpu_realtime_runtime),
        ("cpus", limits.cpuset_cpus),
        ("mems", limits.cpuset_mems),
    ):
        if value:
            cpu[name] = value
    return cpu


def rlimits(ulimits: Sequence[Ulimit], host: Host) -> list[dict[str, Any]]:
    """`process.rlimits` of config.json; open files always, the rest where the caller names it.

    Raises InvalidArgument for an unknown name, a soft limit above the hard one, and a hard limit
    that the kernel would not let the engine set.
    """
    result = {"RLIMIT_NOFILE": _rlimit("RLIMIT_NOFILE", host.default_nofile, host.default_nofile)}
    for ulimit in (*host.default_ulimits, *ulimits):
        if ulimit.name not in _RLIMITS:
            raise InvalidArgument(f"invalid ulimit type: {ulimit.name}")
        soft, hard = ulimit.soft, ulimit.hard
        if hard != -1 and (soft > hard or soft == -1):
            raise InvalidArgument(
                f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )
        name = "RLIMIT_" + ulimit.name.upper()
        _check_hard_limit(ulimit.name, hard, host.rlimits.get(name, -1), host)
        result[name] = _rlimit(name, soft, hard)
    return list(result.values())


def _check_hard_limit(name: str, hard: int, most: int, host: Host) -> None:
    if host.can_raise_rlimits or most == -1 or 0 <= hard <= most:
        return
    raise InvalidArgument(
        f"ulimit {name}: hard limit {hard} is above the engine's own: {most}",
        hint="raise the limit of the engine's process, or give it CAP_SYS_RESOURCE",
    )


def _rlimit(name: str, soft: int, hard: int) -> dict[str, Any]:
    """-1 is "no limit": the kernel's largest number."""
    return {"type": name, "soft": soft % 2**64, "hard": hard % 2**64}


def adapted(limits: HostConfig) -> HostConfig:
    """With the swap that Docker gives to a memory limit: as much again."""
    if limits.memory > 0 and not limits.memory_swap:
        return limits.model_copy(update={"memory_swap": 2 * limits.memory})
    return limits
