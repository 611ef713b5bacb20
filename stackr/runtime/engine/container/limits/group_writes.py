"""The limits that the engine itself writes to a container's group, before its program begins and in
each update; the OCI runtime knows nothing of them.

Block I/O: runc changes neither rates nor weights of devices in an update, and writes those that it
was told at the start again. On v1 the file of a weight depends on the I/O scheduler. Processor
shares on v2: each runtime's version has a formula of its own.
Source: the kernel's cgroup-v1 blkio-controller.rst and cgroup-v2.rst, "CPU" and "IO".
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from stackr.runtime.engine.container.limits.controllers import possible
from stackr.runtime.engine.container.limits.resources import devices_of
from stackr.runtime.engine.container.settings.spec import Resources
from stackr.runtime.engine.linux.cgroup import Hierarchy

__all__ = ["GroupWrite", "cpu_weight", "group_writes", "io_weight"]

GroupWrite = tuple[str, tuple[tuple[str, str], ...]]
"""The controller, and files with the value for each, of which the first that is there counts."""

_LEAST_SHARES, _MOST_SHARES = 2, 1 << 18
_LEAST_WEIGHT, _MOST_WEIGHT = 10, 1000
_RATES = (
    ("blkio_device_read_bps", "blkio.throttle.read_bps_device", "rbps"),
    ("blkio_device_write_bps", "blkio.throttle.write_bps_device", "wbps"),
    ("blkio_device_read_iops", "blkio.throttle.read_iops_device", "riops"),
    ("blkio_device_write_iops", "blkio.throttle.write_iops_device", "wiops"),
)


def group_writes(limits: Resources, cgroups: Hierarchy) -> Iterator[GroupWrite]:
    """Raises InvalidArgument for a device that is not there."""
    limits = possible(limits, cgroups)
    if cgroups.is_v2 and limits.cpu_shares:
        yield "cpu", (("cpu.weight", str(cpu_weight(limits.cpu_shares))),)
    yield from _io_v2(limits) if cgroups.is_v2 else _io_v1(limits)


def _io_v1(limits: Resources) -> Iterator[GroupWrite]:
    numbers = _numbers(limits)
    if limits.blkio_weight:
        weight = str(limits.blkio_weight)
        yield "blkio", (("blkio.weight", weight), ("blkio.bfq.weight", weight))
    for device in limits.blkio_weight_device:
        line = f"{numbers[device.path]} {device.weight}"
        yield "blkio", (("blkio.weight_device", line), ("blkio.bfq.weight_device", line))
    for name, file, _ in _RATES:
        for rate in getattr(limits, name):
            yield "blkio", ((file, f"{numbers[rate.path]} {rate.rate}"),)


def _io_v2(limits: Resources) -> Iterator[GroupWrite]:
    numbers = _numbers(limits)
    if limits.blkio_weight:
        yield "io", _weights_v2("", limits.blkio_weight)
    for device in limits.blkio_weight_device:
        yield "io", _weights_v2(numbers[device.path], device.weight)
    for name, _, word in _RATES:
        for rate in getattr(limits, name):
            yield "io", (("io.max", f"{numbers[rate.path]} {word}={rate.rate}"),)


def _weights_v2(device: str, weight: int) -> tuple[tuple[str, str], ...]:
    which = device or "default"
    return ("io.bfq.weight", f"{which} {weight}"), ("io.weight", f"{which} {io_weight(weight)}")


def _numbers(limits: Resources) -> dict[str, str]:
    """ "8:0" by path."""
    return {path: f"{major}:{minor}" for path, (major, minor) in devices_of(limits).items()}


def cpu_weight(shares: int) -> int:
    """v2's weight (1 to 10,000) for v1's shares (2 to 262,144): 1,024 shares, the kernel's default,
    are 100, its default too.

    Source: `ConvertCPUSharesToCgroupV2Value` of runc since 1.4, and crun's since 1.23.
    """
    if not _LEAST_SHARES < shares < _MOST_SHARES:
        return 1 if shares <= _LEAST_SHARES else 10_000
    binary = math.log2(shares)
    return math.ceil(10 ** ((binary * binary + 125 * binary) / 612 - 7 / 34))


def io_weight(weight: int) -> int:
    """v2's weight (1 to 10,000) for v1's (10 to 1,000). Source: the OCI runtimes' formula."""
    return 1 + (weight - _LEAST_WEIGHT) * 9999 // (_MOST_WEIGHT - _LEAST_WEIGHT)
