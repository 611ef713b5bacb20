"""What a running container uses, as its control group and its network namespace tell.

Source: the kernel's cgroup-v1 and cgroup-v2 documentation; proc(5), "/proc/pid/net/dev".
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from stackr.runtime.engine.linux.cgroup import Hierarchy, read_flat

__all__ = ["CpuTimes", "InterfaceFigures", "IoFigures", "Usage", "read_usage"]

_NS_PER_US = 1000
_NS = 1_000_000_000
_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Nanoseconds since the container's start; system: of the whole host, since its boot."""

    total_ns: int
    user_ns: int
    kernel_ns: int
    system_ns: int
    throttled_periods: int = 0
    periods: int = 0
    throttled_ns: int = 0
    per_cpu_ns: tuple[int, ...] = ()
    """Of each processor; cgroup v2 does not tell."""


@dataclass(frozen=True, slots=True)
class InterfaceFigures:
    """Bytes, packets, errors and drops, received and sent."""

    name: str
    received: tuple[int, int, int, int]
    sent: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class IoFigures:
    """Bytes read from and written to one device, and how many times."""

    major: int
    minor: int
    read_bytes: int
    written_bytes: int
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """memory_limit: of the container, or the host's memory. memory_stats: the kernel's words."""

    cpu: CpuTimes
    memory_bytes: int
    memory_limit: int
    memory_stats: dict[str, int] = field(default_factory=dict)
    memory_peak: int = 0
    pids: int = 0
    pids_limit: int = 0
    interfaces: tuple[InterfaceFigures, ...] = ()
    devices: tuple[IoFigures, ...] = ()


def read_usage(cgroups: Hierarchy, group: str, pid: int) -> Usage:
    """The figures of `group`, whose first process is `pid`; 0 for what cannot be read."""
    host_memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    memory = cgroups.path(group, "memory")
    pids = cgroups.path(group, "pids")
    names = ("memory.current", "memory.max")
    if not cgroups.is_v2:
        names = ("memory.usage_in_bytes", "memory.limit_in_bytes")
    limit = _number(memory, names[1])
    return Usage(
        cpu=_cpu(cgroups, group),
        memory_bytes=_number(memory, names[0]),
        memory_limit=limit if 0 < limit < min(_UNLIMITED, host_memory) else host_memory,
        memory_peak=0 if cgroups.is_v2 else _number(memory, "memory.max_usage_in_bytes"),
        memory_stats=read_flat(memory / "memory.stat") if memory else {},
        pids=_number(pids, "pids.current"),
        pids_limit=_number(pids, "pids.max"),
        interfaces=_interfaces(pid),
        devices=_devices(cgroups, group),
    )


def _cpu(cgroups: Hierarchy, group: str) -> CpuTimes:
    folder = cgroups.path(group, "cpu")
    stat = read_flat(folder / "cpu.stat") if folder else {}
    throttled = stat.get("nr_throttled", 0), stat.get("nr_periods", 0)
    per_cpu: tuple[int, ...] = ()
    if cgroups.is_v2:
        total, user, kernel = (
            stat.get(key, 0) * _NS_PER_US for key in ("usage_usec", "user_usec", "system_usec")
        )
        throttled_ns = stat.get("throttled_usec", 0) * _NS_PER_US
    else:
        accounts = cgroups.path(group, "cpuacct")
        total = _number(accounts, "cpuacct.usage")
        ticks = read_flat(accounts / "cpuacct.stat") if accounts else {}
        tick_ns = _NS // os.sysconf("SC_CLK_TCK")
        user, kernel = ticks.get("user", 0) * tick_ns, ticks.get("system", 0) * tick_ns
        throttled_ns = stat.get("throttled_time", 0)
        per_cpu = _numbers(accounts, "cpuacct.usage_percpu")
    return CpuTimes(total, user, kernel, _system_ns(), *throttled, throttled_ns, per_cpu)


def _system_ns() -> int:
    """The host's processor time in all states, as dockerd adds it up."""
    with open("/proc/stat") as file:
        fields = file.readline().split()[1:9]
    return sum(int(field) for field in fields) * (_NS // os.sysconf("SC_CLK_TCK"))


def _interfaces(pid: int) -> tuple[InterfaceFigures, ...]:
    found = []
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]:
            name, _, figures = line.partition(":")
            values = [int(word) for word in figures.split()]
            if name.strip() != "lo":
                received = (values[0], values[1], values[2], values[3])
                sent = (values[8], values[9], values[10], values[11])
                found.append(InterfaceFigures(name.strip(), received, sent))
    return tuple(found)


def _devices(cgroups: Hierarchy, group: str) -> tuple[IoFigures, ...]:
    folder = cgroups.path(group, "blkio")
    if folder is None:
        return ()
    if cgroups.is_v2:
        return _io_stat(folder / "io.stat")
    moved = _by_device(folder / "blkio.throttle.io_service_bytes_recursive")
    served = _by_device(folder / "blkio.throttle.io_serviced_recursive")
    return tuple(
        _io(device, *_both(values), *_both(served.get(device, {})))
        for device, values in moved.items()
    )


def _by_device(path: Path) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for line in _lines(path):
        words = line.split()
        if len(words) == 3:
            totals.setdefault(words[0], {})[words[1]] = int(words[2])
    return totals


def _both(values: dict[str, int]) -> tuple[int, int]:
    return values.get("Read", 0), values.get("Write", 0)


def _io_stat(path: Path) -> tuple[IoFigures, ...]:
    found = []
    for line in _lines(path):
        device, *words = line.split()
        values = dict(word.split("=", 1) for word in words if "=" in word)
        keys = ("rbytes", "wbytes", "rios", "wios")
        found.append(_io(device, *(int(values.get(key, 0)) for key in keys)))
    return tuple(found)


def _io(device: str, *figures: int) -> IoFigures:
    major, _, minor = device.partition(":")
    return IoFigures(int(major), int(minor), *figures)


def _numbers(folder: Path | None, name: str) -> tuple[int, ...]:
    words = " ".join(_lines(folder / name)).split() if folder else []
    return tuple(int(word) for word in words if word.isdigit())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(folder: Path | None, name: str) -> int:
    """A file's one number; 0 where there is none ("max" included)."""
    if folder is None:
        return 0
    with contextlib.suppress(OSError):
        text = (folder / name).read_text().strip()
        return int(text) if text.isdigit() else 0
    return 0
