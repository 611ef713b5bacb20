"""Limits and restart policies in the Engine API's words, both ways. Pure.

Source: Docker Engine API, `Resources`, `RestartPolicy`, ContainerUpdate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.errors import NotSupported
from stackr.runtime.docker.create import resources_body
from stackr.runtime.limits import (
    Blkio,
    Resources,
    RestartPolicy,
    changed_limits,
    fixed_limits,
)

__all__ = ["resources", "restart_policy", "update_body"]

Json = dict[str, Any]

_KEYS: Mapping[str, str] = {
    "memory_bytes": "Memory",
    "memory_swap_bytes": "MemorySwap",
    "memory_reservation_bytes": "MemoryReservation",
    "nano_cpus": "NanoCpus",
    "cpu_shares": "CpuShares",
    "cpu_quota_us": "CpuQuota",
    "cpu_period_us": "CpuPeriod",
    "cpu_rt_runtime_us": "CpuRealtimeRuntime",
    "cpu_rt_period_us": "CpuRealtimePeriod",
    "cpu_count": "CpuCount",
    "cpu_percent": "CpuPercent",
    "cpuset_cpus": "CpusetCpus",
    "pids_limit": "PidsLimit",
}
_UNLIMITED = -1


def resources(host: Json) -> Resources:
    """From a HostConfig, or from what a listing has of one."""
    values = {name: host[key] for name, key in _KEYS.items() if host.get(key)}
    return Resources(
        **values,
        memory_swappiness=host.get("MemorySwappiness"),
        oom_kill_disable=bool(host.get("OomKillDisable")),
        blkio=_blkio(host),
    )


def _blkio(host: Json) -> Blkio | None:
    def pairs(key: str, value: str = "Rate") -> tuple[tuple[str, int], ...]:
        return tuple((device["Path"], device[value]) for device in host.get(key) or [])

    found = Blkio(
        weight=host.get("BlkioWeight") or 0,
        weight_device=pairs("BlkioWeightDevice", "Weight"),
        read_bps=pairs("BlkioDeviceReadBps"),
        read_iops=pairs("BlkioDeviceReadIOps"),
        write_bps=pairs("BlkioDeviceWriteBps"),
        write_iops=pairs("BlkioDeviceWriteIOps"),
    )
    return found if found != Blkio() else None


def restart_policy(host: Json) -> RestartPolicy:
    """The name is "no" where the engine has none."""
    policy: Json = host.get("RestartPolicy") or {}
    return RestartPolicy(policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0)


def update_body(
    wanted: Resources | None,
    restart: RestartPolicy | None,
    labels: Mapping[str, str | None] | None,
    *,
    found: Resources | None,
) -> Json:
    """The body of `POST /containers/{id}/update`.

    found: the limits now, where the engine takes changes only; None where it takes the whole.
    Raises NotSupported for what such an engine cannot change.
    """
    body: Json = {}
    if wanted is not None:
        body = resources_body(wanted) if found is None else _changes(found, wanted)
    if restart is not None:
        body["RestartPolicy"] = {
            "Name": restart.name or "no",
            "MaximumRetryCount": restart.max_retries,
        }
    if labels is not None:
        body["Labels"] = dict(labels)
    return body


def _changes(found: Resources, wanted: Resources) -> Json:
    fixed = fixed_limits(found, wanted, lifts=False)
    if fixed:
        names = ", ".join(_KEYS.get(name, name) for name in fixed)
        raise NotSupported(
            f"update: not supported by this engine: {names}", hint="the container must be recreated"
        )
    changed = changed_limits(found, wanted)
    body = resources_body(wanted)
    keys = {_KEYS[name] for name in changed if name in _KEYS}
    changes = {key: body.get(key, _UNLIMITED) for key in keys}
    if "blkio" in changed:
        changes["BlkioWeight"] = body["BlkioWeight"]
    if wanted.memory_bytes > 0 and keys & {"Memory", "MemorySwap"}:
        # Docker's own default, which it fills in at creation only.
        changes["MemorySwap"] = wanted.memory_swap_bytes or 2 * wanted.memory_bytes
        changes["Memory"] = wanted.memory_bytes
    return changes
