"""The `deploy` section, and what of a service means the same: how many tasks, where, and how moved.

Source: docker/cli, cli/compose/convert/service.go; moby, api/types/swarm/{service,task}.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stackr.planner.desired.limits import resources
from stackr.planner.swarm.draft import Draft
from stackr.planner.swarm.units import nanoseconds, optional_nanoseconds
from stackr.runtime.limits import Resources
from stackr.spec.model.deploy import Deploy, RestartPolicy, UpdateConfig
from stackr.text import whole_number

__all__ = [
    "endpoint_spec",
    "log_driver",
    "mode_spec",
    "placement",
    "resource_spec",
    "restart_spec",
    "update_specs",
]

_MOST_PORT = 65535
_CONDITIONS = {
    "no": "none",
    "none": "none",
    "always": "any",
    "any": "any",
    "unless-stopped": "any",
    "on-failure": "on-failure",
}


def mode_spec(draft: Draft) -> dict[str, Any]:
    count = draft.replicas
    asked = draft.service.scale is not None or (
        draft.service.deploy is not None and draft.service.deploy.replicas is not None
    )
    if draft.is_global and asked and count > 1:
        draft.faults.add(draft.at("deploy", "mode"), "global: one a node, so replicas do not count")
    match draft.mode:
        case "global":
            return {"Global": {}}
        case "global-job":
            return {"GlobalJob": {}}
        case "replicated-job":
            return {"ReplicatedJob": {"MaxConcurrent": count, "TotalCompletions": count}}
        case _:
            return {"Replicated": {"Replicas": count}}


def resource_spec(draft: Draft) -> dict[str, Any]:
    service = draft.service
    own = resources(service)
    deploy = service.deploy or Deploy()
    reserved = deploy.resources.reservations
    generic = reserved.generic_resources if reserved else ()
    return {
        **_swap(draft, own),
        "Limits": {
            "NanoCPUs": own.nano_cpus,
            "MemoryBytes": own.memory_bytes,
            "Pids": max(own.pids_limit or 0, 0),
        },
        "Reservations": {
            "NanoCPUs": round((reserved.cpus if reserved else 0) * 1e9),
            "MemoryBytes": own.memory_reservation_bytes,
            "GenericResources": [
                {"DiscreteResourceSpec": {"Kind": spec.kind, "Value": spec.value}}
                for spec in (each.discrete_resource_spec for each in generic)
                if spec is not None
            ],
        },
    }


def _swap(draft: Draft, own: Resources) -> dict[str, int]:
    """The file says how much memory and swap are together, a Swarm how much swap there is."""
    found = {}
    path = draft.at("memswap_limit")
    if own.memory_swap_bytes and draft.api.check("swap", path):
        if not own.memory_bytes:
            draft.faults.add(path, "requires mem_limit to be set")
        elif 0 <= own.memory_swap_bytes < own.memory_bytes:
            draft.faults.add(path, "less than mem_limit, which is a part of it")
        found["SwapBytes"] = max(own.memory_swap_bytes - own.memory_bytes, -1)
    swappiness = own.memory_swappiness
    if swappiness is not None and draft.api.check("swap", draft.at("mem_swappiness")):
        found["MemorySwappiness"] = swappiness
    return found


# --- restarts ------------------------------------------------------------------------------------


def restart_spec(draft: Draft) -> dict[str, Any] | None:
    """None leaves it to the Swarm, which starts tasks again whenever they end."""
    service = draft.service
    policy = service.deploy.restart_policy if service.deploy else None
    if policy is not None:
        return _policy(draft, policy)
    if service.restart:
        name, _, retries = service.restart.partition(":")
        attempts = whole_number(retries)
        if draft.is_job and _CONDITIONS.get(name) == "any":
            return {"Condition": "on-failure"}
        return {"Condition": _CONDITIONS.get(name, name), "MaxAttempts": attempts}
    return {"Condition": "none"} if draft.is_job else None


def _policy(draft: Draft, policy: RestartPolicy) -> dict[str, Any]:
    written = policy.condition or ("on-failure" if draft.is_job else "any")
    condition = _CONDITIONS.get(written)
    path = draft.at("deploy", "restart_policy", "condition")
    if condition is None:
        draft.faults.add(path, f'"{written}" is none of none, on-failure and any')
    elif condition == "any" and draft.is_job:
        draft.faults.add(path, "a job ends: none or on-failure, not any")
    return {
        "Condition": condition,
        "Delay": optional_nanoseconds(policy.delay),
        "MaxAttempts": policy.max_attempts,
        "Window": optional_nanoseconds(policy.window),
    }


# --- updates -------------------------------------------------------------------------------------


def update_specs(draft: Draft) -> dict[str, Any]:
    """Of updates and of rollbacks; a job has neither."""
    deploy = draft.service.deploy
    if deploy is None or draft.is_job:
        return {}
    return {
        "UpdateConfig": _update(draft, "update_config", deploy.update_config),
        "RollbackConfig": _update(draft, "rollback_config", deploy.rollback_config),
    }


def _update(draft: Draft, name: str, config: UpdateConfig | None) -> dict[str, Any]:
    if config is None:
        return {}
    path = draft.at("deploy", name)
    actions = ("pause", "continue", "rollback")[: 3 if name == "update_config" else 2]
    if config.failure_action not in (None, *actions):
        told = f'"{config.failure_action}" is none of {", ".join(actions)}'
        draft.faults.add((*path, "failure_action"), told)
    for key in ("delay", "monitor", "max_failure_ratio"):
        if getattr(config, key) < 0:
            draft.faults.add((*path, key), "not negative")
    return {
        "Parallelism": 1 if config.parallelism is None else config.parallelism,
        "Delay": nanoseconds(config.delay),
        "FailureAction": config.failure_action or "",
        "Monitor": nanoseconds(config.monitor),
        "MaxFailureRatio": config.max_failure_ratio,
        "Order": config.order or "",
    }


# --- placement -----------------------------------------------------------------------------------


def placement(draft: Draft) -> dict[str, Any]:
    deploy = draft.service.deploy or Deploy()
    own = deploy.placement
    for index, constraint in enumerate(own.constraints):
        if "==" not in constraint and "!=" not in constraint:
            path = draft.at("deploy", "placement", "constraints", index)
            draft.faults.add(path, f'not KEY==VALUE or KEY!=VALUE: "{constraint}"')
    if own.max_replicas_per_node and draft.is_global:
        path = draft.at("deploy", "placement", "max_replicas_per_node")
        draft.faults.add(path, "one a node as it is: the service is global")
    return {
        "Constraints": list(own.constraints),
        "Preferences": [{"Spread": {"SpreadDescriptor": p.spread}} for p in own.preferences],
        "MaxReplicas": own.max_replicas_per_node,
        "Platforms": [*_platforms(draft)],
    }


_NO_VARIANT = {"arm64/v8": "arm64"}
"""Written in two ways."""


def _platforms(draft: Draft) -> Iterator[dict[str, str]]:
    if draft.service.platform:
        os, _, machine = draft.service.platform.partition("/")
        machine = _NO_VARIANT.get(machine, machine)
        if "/" in machine:
            draft.faults.add(draft.at("platform"), f'a Swarm knows no variants: "{machine}"')
        yield {"OS": os, "Architecture": machine}


# --- ports and logs ------------------------------------------------------------------------------


def endpoint_spec(draft: Draft) -> dict[str, Any]:
    mode = (draft.service.deploy.endpoint_mode if draft.service.deploy else "") or ""
    path = draft.at("deploy", "endpoint_mode")
    if mode not in ("", "vip", "dnsrr"):
        draft.faults.add(path, f'"{mode}" is neither vip nor dnsrr')
    ports = []
    for index, port in enumerate(draft.service.ports):
        publish = port.mode or "ingress"
        if publish not in ("ingress", "host"):
            told = f'"{publish}" is neither ingress nor host'
            draft.faults.add(draft.at("ports", index, "mode"), told)
        if publish == "ingress" and mode == "dnsrr":
            told = "the Swarm's own load balancing needs a virtual address, which dnsrr has not"
            draft.faults.add(draft.at("ports", index), told, hint="publish it in mode host")
        published = port.published or ""
        ports.append(
            {
                "Protocol": port.protocol or "tcp",
                "TargetPort": port.target,
                "PublishedPort": whole_number(published, most=_MOST_PORT) or 0,
                "PublishMode": publish,
            }
        )
    return {"Mode": mode, "Ports": ports}


def log_driver(draft: Draft) -> dict[str, Any]:
    logging = draft.service.logging
    if logging is None:
        return {}
    return {"Name": logging.driver or "", "Options": dict(logging.options)}
