"""A service's limits and restart policy: as asked for, as a container has them, and the difference.

They are what can change in a container that exists, and what others change outside stackr.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stackr.planner.plan.model import FieldChange, Origin
from stackr.runtime.limits import (
    Blkio,
    Resources,
    RestartPolicy,
    changed_limits,
    fixed_limits,
    without_discarded,
)
from stackr.runtime.types import Capabilities, ContainerState
from stackr.spec.attribute import Effect, OnChange
from stackr.spec.declared import of_service
from stackr.spec.model.service import Service
from stackr.spec.units import format_size
from stackr.text import whole_number

__all__ = [
    "changes_in_place",
    "drifted_limits",
    "is_in_place",
    "marked_in_place",
    "resources",
    "restart_policy",
]

_RESTART_NAMES = {"none": "no", "any": "always"}
_IN_PLACE = tuple(
    path
    for path, mark in of_service(OnChange).items()
    if mark.effect in (Effect.IN_PLACE, Effect.TOLD)
)
"""Paths in a service whose change needs no new container, on an engine that can do it."""
_KEYS = {
    "memory_bytes": "mem_limit",
    "memory_swap_bytes": "memswap_limit",
    "memory_reservation_bytes": "mem_reservation",
    "memory_swappiness": "mem_swappiness",
    "oom_kill_disable": "oom_kill_disable",
    "nano_cpus": "cpus",
    "cpu_shares": "cpu_shares",
    "cpu_quota_us": "cpu_quota",
    "cpu_period_us": "cpu_period",
    "cpu_rt_runtime_us": "cpu_rt_runtime",
    "cpu_rt_period_us": "cpu_rt_period",
    "cpu_count": "cpu_count",
    "cpu_percent": "cpu_percent",
    "cpuset_cpus": "cpuset",
    "pids_limit": "pids_limit",
    "blkio": "blkio_config",
}
"""A limit of the engine -> the attribute that sets it."""
_OF_DEPLOY = {
    "memory_bytes": ("deploy.resources.limits.memory",),
    "memory_reservation_bytes": ("deploy.resources.reservations.memory",),
    "nano_cpus": ("deploy.resources.limits.cpus",),
    "pids_limit": ("deploy.resources.limits.pids",),
}
"""And those of `deploy`, which win."""


def is_in_place(
    changes: tuple[FieldChange, ...],
    service: Service,
    container: ContainerState,
    engine: Capabilities,
) -> bool:
    """Whether these changes of the stack file can be made in the container as it is.

    The engine has to take the new labels as well, or the next plan would not know.
    """
    if not engine.update_labels or container.resources is None:
        return False
    if not all(changes_in_place(change.path) for change in changes):
        return False
    wanted = resources(service)
    return not fixed_limits(container.resources, wanted, lifts=engine.update_lifts)


def marked_in_place(
    changes: tuple[FieldChange, ...],
    service: Service,
    container: ContainerState,
    engine: Capabilities,
) -> tuple[FieldChange, ...]:
    """Of a container that is recreated: which of its changes force that, and which do not."""
    if not engine.update_labels or container.resources is None:
        return changes
    fixed = fixed_limits(container.resources, resources(service), lifts=engine.update_lifts)
    marked = tuple(
        replace(change, forces_recreate=False) if _can_stay(change.path, fixed) else change
        for change in changes
    )
    is_explained = not fixed or any(change.forces_recreate for change in marked)
    return marked if is_explained else changes


def _can_stay(path: str, fixed: tuple[str, ...]) -> bool:
    return changes_in_place(path) and not any(_sets(path, limit) for limit in fixed)


def _sets(path: str, limit: str) -> bool:
    """Whether an attribute is one of those that set this limit of the engine."""
    return path.partition(".")[0] == _KEYS[limit] or path in _OF_DEPLOY.get(limit, ())


def changes_in_place(path: str) -> bool:
    """Whether an attribute is one of those whose change needs no new container."""
    return any(path == each or path.startswith(f"{each}.") for each in _IN_PLACE)


def drifted_limits(
    service: Service, container: ContainerState, engine: Capabilities
) -> tuple[FieldChange, ...]:
    """What was changed outside stackr, of a container whose file has not changed."""
    if container.resources is None:
        return ()
    wanted = resources(service)
    if not engine.update_lifts:
        wanted = without_discarded(container.resources, wanted)
    changed = changed_limits(container.resources, wanted)
    lifts = engine.update_lifts
    fixed = fixed_limits(container.resources, wanted, lifts=lifts) if changed else ()
    changes = [
        _drift(
            _KEYS[name],
            _shown(name, getattr(container.resources, name)),
            _shown(name, getattr(wanted, name)),
            forces_recreate=name in fixed,
        )
        for name in changed
    ]
    policies = (container.restart, restart_policy(service))
    found, asked = (policy or RestartPolicy() for policy in policies)
    if _plain(found) != _plain(asked):
        changes.append(
            _drift("restart", _policy_text(found), _policy_text(asked), forces_recreate=False)
        )
    return tuple(changes)


def _drift(path: str, old: Any, new: Any, *, forces_recreate: bool) -> FieldChange:
    return FieldChange(
        path,
        old,
        new,
        forces_recreate=forces_recreate,
        note="changed outside stackr",
        origin=Origin.DRIFT,
    )


def _shown(name: str, value: Any) -> Any:
    if name == "nano_cpus":
        return value / 1e9 or None
    if isinstance(value, Blkio):
        found = {key: getattr(value, key) for key in value.__slots__}
        return {key: _rates(key, each) for key, each in found.items() if each}
    if name.endswith("_bytes") and value and value > 0:
        return format_size(value)
    return value or None


def _rates(key: str, value: Any) -> Any:
    """Bytes a second by device, in units."""
    return [(path, format_size(n)) for path, n in value] if key.endswith("_bps") else value


def _plain(policy: RestartPolicy) -> RestartPolicy:
    return RestartPolicy() if policy.name in ("", "no") else policy


def _policy_text(policy: RestartPolicy) -> str:
    retries = f":{policy.max_retries}" if policy.max_retries else ""
    return f"{policy.name or 'no'}{retries}"


def restart_policy(service: Service) -> RestartPolicy | None:
    """`deploy.restart_policy` wins over `restart`."""
    policy = service.deploy.restart_policy if service.deploy else None
    if policy is not None:
        condition = policy.condition or ""
        return RestartPolicy(_RESTART_NAMES.get(condition, condition), policy.max_attempts or 0)
    if not service.restart:
        return None
    name, _, retries = service.restart.partition(":")
    return RestartPolicy(_RESTART_NAMES.get(name, name), whole_number(retries) or 0)


def resources(service: Service) -> Resources:
    """The limits that the service asks for; those of `deploy` win."""
    limits = service.deploy.resources.limits if service.deploy else None
    reservations = service.deploy.resources.reservations if service.deploy else None
    cpus = (limits.cpus if limits else 0) or service.cpus
    return Resources(
        memory_bytes=(limits.memory if limits else 0) or service.mem_limit,
        memory_swap_bytes=service.memswap_limit,
        memory_reservation_bytes=(reservations.memory if reservations else 0)
        or service.mem_reservation,
        memory_swappiness=service.mem_swappiness or None,
        oom_kill_disable=service.oom_kill_disable,
        nano_cpus=round(cpus * 1e9),
        cpu_shares=service.cpu_shares,
        cpu_quota_us=service.cpu_quota,
        cpu_period_us=service.cpu_period,
        cpu_rt_runtime_us=service.cpu_rt_runtime,
        cpu_rt_period_us=service.cpu_rt_period,
        cpu_count=service.cpu_count,
        cpu_percent=round(service.cpu_percent * 100),
        cpuset_cpus=service.cpuset or "",
        pids_limit=(limits.pids if limits else 0) or service.pids_limit,
        blkio=_blkio(service),
    )


def _blkio(service: Service) -> Blkio | None:
    config = service.blkio_config
    if config is None:
        return None
    return Blkio(
        weight=config.weight,
        weight_device=tuple((device.path, device.weight) for device in config.weight_device),
        read_bps=tuple((device.path, device.rate) for device in config.device_read_bps),
        read_iops=tuple((device.path, device.rate) for device in config.device_read_iops),
        write_bps=tuple((device.path, device.rate) for device in config.device_write_bps),
        write_iops=tuple((device.path, device.rate) for device in config.device_write_iops),
    )
