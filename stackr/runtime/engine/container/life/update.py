"""A container's limits, restart policy and labels, changed while it is there: all, or nothing.

Docker's update adds to what there is; stackr's `replace` makes the body's limits the whole of them.
Source: Docker Engine API `ContainerUpdate`; moby's `Container.UpdateContainer`, with its texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from stackr.errors import Conflict, InvalidArgument, NotSupported
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.life.checks import check_restart
from stackr.runtime.engine.container.limits.resources import (
    adapted,
    check_limits,
    devices_of,
    rlimits,
)
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.spec import (
    Config,
    ContainerUpdate,
    HostConfig,
    Resources,
    ThrottleDevice,
    Ulimit,
    WeightDevice,
)
from stackr.runtime.engine.container.settings.unhealthy import parse_restart_unhealthy
from stackr.runtime.engine.linux.cgroup import INHERITED

__all__ = ["Write", "lifted", "updated"]

Write = tuple[str, str, str]
"""controller, file, value; see `Hierarchy.write`."""

_PERIOD_US = "100000"
_REALTIME_PERIOD_US = "1000000"
_CONFLICTS = (
    ("nano_cpus", "cpu_period", "Nano CPUs cannot be updated as CPU Period has already been set"),
    ("nano_cpus", "cpu_quota", "Nano CPUs cannot be updated as CPU Quota has already been set"),
    ("cpu_period", "nano_cpus", "CPU Period cannot be updated as NanoCPUs has already been set"),
    ("cpu_quota", "nano_cpus", "CPU Quota cannot be updated as NanoCPUs has already been set"),
)


def updated(
    container: Container, body: ContainerUpdate, host: Host, *, replace: bool
) -> tuple[HostConfig, Config]:
    """The container's settings after an update; nothing is changed yet.

    Raises Conflict and InvalidArgument with Docker's texts.
    """
    check_limits(body, host.cgroups, cpus=os.cpu_count() or 1, partial=not replace)
    check_restart(body.restart_policy)
    _check_oom(container, body, replace=replace)
    rlimits(body.ulimits, host)
    changed = _replaced(container, body) if replace else _merged(container, body)
    check_limits(changed, host.cgroups, cpus=os.cpu_count() or 1)
    if body.restart_policy.name:
        if changed.auto_remove and body.restart_policy.name != "no":
            raise _conflict(
                container,
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            )
        changed = changed.model_copy(update={"restart_policy": body.restart_policy})
    if body.ulimits:
        changed = changed.model_copy(update={"ulimits": _ulimits(container, body)})
    return changed, container.config.model_copy(update={"labels": _labels(container, body)})


def _check_oom(container: Container, body: ContainerUpdate, *, replace: bool) -> None:
    asked = bool(body.oom_kill_disable) if replace else body.oom_kill_disable
    if asked is not None and asked != container.host_config.oom_kill_disable:
        raise NotSupported("OomKillDisable: cannot be changed by an update")


def _conflict(container: Container, why: str) -> Conflict:
    return Conflict(f"Cannot update container {container.id}: {why}")


def _replaced(container: Container, body: ContainerUpdate) -> HostConfig:
    limits = {name: getattr(body, name) for name in Resources.model_fields}
    return adapted(container.host_config.model_copy(update=limits))


def _merged(container: Container, body: ContainerUpdate) -> HostConfig:
    limits = container.host_config
    for asked, given, why in _CONFLICTS:
        if getattr(body, asked) > 0 and getattr(limits, given) > 0:
            raise _conflict(container, f"Conflicting options: {why}")
    if body.memory and body.memory > limits.memory_swap and not body.memory_swap:
        raise _conflict(
            container,
            "Memory limit should be smaller than already set memoryswap limit, update the"
            " memoryswap at the same time",
        )
    names = body.model_fields_set & Resources.model_fields.keys()
    asked_for = {name: getattr(body, name) for name in names}
    return limits.model_copy(
        update={
            name: value
            for name, value in asked_for.items()
            if value not in (0, "", None, []) or name == "pids_limit"
        }
    )


def _ulimits(container: Container, body: ContainerUpdate) -> list[Ulimit]:
    kept = {ulimit.name: ulimit for ulimit in container.host_config.ulimits}
    return [*(kept | {ulimit.name: ulimit for ulimit in body.ulimits}).values()]


def _labels(container: Container, body: ContainerUpdate) -> dict[str, str]:
    if "" in body.labels:
        raise InvalidArgument("invalid label: its name is empty")
    merged = {**container.config.labels, **body.labels}
    parse_restart_unhealthy(merged)
    return {name: value for name, value in merged.items() if value is not None}


def lifted(before: Resources, after: Resources, *, is_v2: bool) -> list[Write]:
    """What takes away the limits that `before` has and `after` has not, in the order to write it.

    The OCI runtime sets limits and cannot lift them.
    """
    return [*_lifted_figures(before, after, is_v2), *_lifted_devices(before, after, is_v2)]


_Figure = tuple[str, tuple[Write, ...], tuple[Write, ...]]
_INHERITED_CPUS = ("cpuset", "cpuset.cpus", INHERITED)
_INHERITED_MEMS = ("cpuset", "cpuset.mems", INHERITED)
_FIGURES: tuple[_Figure, ...] = (
    (
        "memory",
        (
            ("memory", "memory.memsw.limit_in_bytes", "-1"),
            ("memory", "memory.limit_in_bytes", "-1"),
        ),
        (("memory", "memory.max", "max"), ("memory", "memory.swap.max", "max")),
    ),
    (
        "memory_reservation",
        (("memory", "memory.soft_limit_in_bytes", "-1"),),
        (("memory", "memory.low", "0"),),
    ),
    ("memory_swappiness", (("memory", "memory.swappiness", INHERITED),), ()),
    ("cpu_shares", (("cpu", "cpu.shares", "1024"),), (("cpu", "cpu.weight", "100"),)),
    ("quota", (("cpu", "cpu.cfs_quota_us", "-1"),), (("cpu", "cpu.max", "max"),)),
    (
        "period",
        (("cpu", "cpu.cfs_period_us", _PERIOD_US),),
        (("cpu", "cpu.max", f"max {_PERIOD_US}"),),
    ),
    ("cpu_realtime_runtime", (("cpu", "cpu.rt_runtime_us", "0"),), ()),
    ("cpu_realtime_period", (("cpu", "cpu.rt_period_us", _REALTIME_PERIOD_US),), ()),
    # Of v2, too: a group that has processes cannot be left without a set.
    ("cpuset_cpus", (_INHERITED_CPUS,), (_INHERITED_CPUS,)),
    ("cpuset_mems", (_INHERITED_MEMS,), (_INHERITED_MEMS,)),
    ("pids_limit", (("pids", "pids.max", "max"),), (("pids", "pids.max", "max"),)),
    (
        "blkio_weight",
        (("blkio", "blkio.weight", INHERITED), ("blkio", "blkio.bfq.weight", INHERITED)),
        (("io", "io.bfq.weight", "100"), ("io", "io.weight", "default 100")),
    ),
)


def _lifted_figures(before: Resources, after: Resources, is_v2: bool) -> Iterator[Write]:
    for name, v1, v2 in _FIGURES:
        if _has(before, name) and not _has(after, name):
            yield from v2 if is_v2 else v1


def _has(limits: Resources, name: str) -> bool:
    if name in ("quota", "period"):
        has_quota = limits.nano_cpus > 0 or limits.cpu_quota > 0
        return has_quota or (name == "period" and limits.cpu_period > 0)
    if name == "memory_swappiness":
        return limits.memory_swappiness not in (None, -1)
    value = getattr(limits, name) or 0
    return bool(value) if isinstance(value, str) else value > 0


_DEVICES = (
    (
        "blkio_weight_device",
        (("blkio.weight_device", "0"), ("blkio.bfq.weight_device", "default")),
        "",
    ),
    ("blkio_device_read_bps", (("blkio.throttle.read_bps_device", "0"),), "rbps"),
    ("blkio_device_write_bps", (("blkio.throttle.write_bps_device", "0"),), "wbps"),
    ("blkio_device_read_iops", (("blkio.throttle.read_iops_device", "0"),), "riops"),
    ("blkio_device_write_iops", (("blkio.throttle.write_iops_device", "0"),), "wiops"),
)


def _lifted_devices(before: Resources, after: Resources, is_v2: bool) -> Iterator[Write]:
    for name, files, word in _DEVICES:
        kept = {device.path for device in getattr(after, name)}
        gone = [device for device in getattr(before, name) if device.path not in kept]
        for device in _numbers(name, gone):
            if not is_v2:
                yield from (("blkio", file, f"{device} {none}") for file, none in files)
            elif word:
                yield "io", "io.max", f"{device} {word}=max"
            else:
                yield "io", "io.bfq.weight", f"{device} default"
                yield "io", "io.weight", f"{device} default"


def _numbers(name: str, devices: list[WeightDevice | ThrottleDevice]) -> Iterator[str]:
    """ "8:0"; a device that is no longer there has no limit to lift."""
    for device in devices:
        with suppress(InvalidArgument):
            for major, minor in devices_of(Resources.model_validate({name: [device]})).values():
                yield f"{major}:{minor}"
