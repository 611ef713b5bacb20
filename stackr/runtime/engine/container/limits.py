"""Limits of a container: checked as Docker checks them, and in the OCI runtime's words.

The OCI runtime turns these figures (cgroup v1's) into the host's layout.
Source: Docker Engine API `Resources`; OCI runtime-spec config-linux.md "Control groups"; moby's
texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.spec import HostConfig, Limits, Ulimit

__all__ = ["check_limits", "merged_limits", "resources", "rlimits"]

_LEAST_MEMORY = 6 << 20
_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1000
_MOST_PERIOD_US = 1_000_000
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


def check_limits(limits: Limits, *, cpus: int) -> None:
    """Raise InvalidArgument, with Docker's text, for limits that contradict each other or the host.

    cpus: how many the host has.
    """
    _check_memory(limits)
    _check_cpu(limits, cpus)
    if limits.blkio_weight and not 10 <= limits.blkio_weight <= 1000:
        raise InvalidArgument("range of blkio weight is from 10 to 1000")


def _check_memory(limits: Limits) -> None:
    if 0 < limits.memory < _LEAST_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if limits.memory < 0 or limits.memory_reservation < 0:
        raise InvalidArgument("memory limit cannot be negative")
    if limits.memory_swap > 0 and limits.memory == 0:
        raise InvalidArgument(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
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


def _check_cpu(limits: Limits, cpus: int) -> None:
    if limits.nano_cpus and limits.cpu_period:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if limits.nano_cpus and limits.cpu_quota:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if not 0 <= limits.nano_cpus <= cpus * 10**9:
        raise InvalidArgument(
            f"range of CPUs is from 0.01 to {cpus:.2f}, as there are only {cpus} CPUs available"
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
    limits: Limits, *, swap_limit: bool, oom_kill_disable: bool = False
) -> dict[str, Any]:
    """`linux.resources` of config.json without its devices; empty where there is no limit.

    swap_limit: whether the host can limit swap; where it cannot, only memory is limited.
    """
    parts = {
        "memory": _memory(limits, swap_limit, oom_kill_disable),
        "cpu": _cpu(limits),
        "pids": {"limit": limits.pids_limit} if (limits.pids_limit or 0) > 0 else {},
        "blockIO": {"weight": limits.blkio_weight} if limits.blkio_weight else {},
    }
    return {name: part for name, part in parts.items() if part}


def _memory(limits: Limits, swap_limit: bool, oom_kill_disable: bool) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    if limits.memory:
        memory["limit"] = limits.memory
    if limits.memory_reservation:
        memory["reservation"] = limits.memory_reservation
    if limits.memory and swap_limit:
        memory["swap"] = limits.memory_swap or 2 * limits.memory
    if oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(limits: Limits) -> dict[str, Any]:
    cpu: dict[str, Any] = {}
    if limits.nano_cpus:
        cpu["quota"] = limits.nano_cpus * _PERIOD_US // 10**9
        cpu["period"] = _PERIOD_US
    for name, value in (
        ("shares", limits.cpu_shares),
        ("quota", limits.cpu_quota),
        ("period", limits.cpu_period),
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
    for ulimit in ulimits:
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


def merged_limits(limits: HostConfig, update: Limits) -> HostConfig:
    """`limits` with the keys that `update` sets."""
    given = {name: getattr(update, name) for name in Limits.model_fields if getattr(update, name)}
    return limits.model_copy(update=given)
