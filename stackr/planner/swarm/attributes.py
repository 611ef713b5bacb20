"""A Swarm's documents, in normal form, in the words of a stack file: what people compare.

Each value is taken out of the spec and put where the stack file has it. What no stack file can say,
and somebody has set nevertheless, is told under the spec's own name, so that no difference is lost.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from stackr.planner.swarm.units import seconds
from stackr.planner.workloads.document import HASH_DIGITS, plain_labels
from stackr.runtime import labels
from stackr.runtime.workloads import Document, DocumentKind

__all__ = ["attributes", "replaces_tasks"]

_Values = dict[str, Any]
_KEEPS_TASKS = ("deploy.labels", "deploy.replicas", "deploy.update_config")
"""What is no part of a task; so are rollback_config, endpoint_mode and ports."""
_OF_SERVICE = (*_KEEPS_TASKS, "deploy.rollback_config", "deploy.endpoint_mode", "ports")


def replaces_tasks(path: str) -> bool:
    """Whether a change of this attribute makes new tasks."""
    return not any(
        path == each or path.startswith((f"{each}.", f"{each}[")) for each in _OF_SERVICE
    )


def attributes(document: Document) -> _Values:
    """As JSON values, without those that are empty; units are those of `stackr.spec.model`."""
    if document.kind is DocumentKind.SERVICE:
        return _service(document)
    if document.kind is DocumentKind.NETWORK:
        return _network(document)
    found = {**document.spec, "labels": plain_labels(document.labels)}
    return {key: value for key, value in found.items() if value}


def _network(document: Document) -> _Values:
    spec = copy.deepcopy(dict(document.spec))
    ipam = spec.pop("IPAM", {})
    pools = [_renamed(pool, _POOL) for pool in ipam.get("Config", [])]
    found = {
        "driver": spec.pop("Driver", None),
        "driver_opts": spec.pop("Options", None),
        "internal": spec.pop("Internal", None),
        "attachable": spec.pop("Attachable", None),
        "enable_ipv6": spec.pop("EnableIPv6", None),
        "ipam": _some({"driver": ipam.get("Driver"), "config": pools}),
        "labels": plain_labels(document.labels),
        **spec,
    }
    return _some(found)


_POOL = {"Subnet": "subnet", "IPRange": "ip_range", "Gateway": "gateway"}


def _some(values: Mapping[str, Any]) -> _Values:
    """Without what is empty; False and 0 are not."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> _Values:
    return {names.get(key, key): value for key, value in values.items()}


def _put(found: _Values, path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        found = found.setdefault(name, {})
    found[last] = value


def _take(spec: _Values, path: str) -> Any:
    """The value at a path, which is not there any more after this."""
    *above, last = path.split(".")
    for name in above:
        spec = spec.get(name, {})
    return spec.pop(last, None)


def _without_empty_maps(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = {key: _without_empty_maps(each) for key, each in value.items()}
    return {key: each for key, each in found.items() if each != {}}


# --- services ------------------------------------------------------------------------------------


def _service(document: Document) -> _Values:
    spec = copy.deepcopy(dict(document.spec))
    found: _Values = {}
    for path, (attribute, read) in _PLACES.items():
        value = _take(spec, path)
        if value is not None:
            shown = read(value)
            if shown not in ([], {}, None):
                _put(found, attribute, shown)
    _read_mode(found, spec.pop("Mode", {}))
    _read_network_mode(found)
    _read_swap(found)
    own = plain_labels(document.labels)
    if own:
        _put(found, "deploy.labels", own)
    return {**found, **_without_empty_maps(spec)}


def _same(value: Any) -> Any:
    return value


def _environment(entries: list[str]) -> _Values:
    split = (entry.partition("=") for entry in entries)
    return {name: value if equals else None for name, equals, value in split}


def _container_labels(found: Mapping[str, str]) -> _Values:
    return {key: value for key, value in found.items() if key != labels.STACK_NAMESPACE}


def _hosts(entries: list[str]) -> _Values:
    found: _Values = {}
    for entry in entries:
        address, *names = entry.split()
        for name in names:
            found.setdefault(name, []).append(address)
    return found


def _ulimits(entries: list[_Values]) -> _Values:
    return {
        str(each.get("Name")): {"soft": each.get("Soft", 0), "hard": each.get("Hard", 0)}
        for each in entries
    }


def _health(check: _Values) -> _Values:
    times = ("Interval", "Timeout", "StartPeriod", "StartInterval")
    names = dict(zip(times, ("interval", "timeout", "start_period", "start_interval"), strict=True))
    shown = {key: seconds(value) if key in times else value for key, value in check.items()}
    return _renamed(shown, {**names, "Test": "test", "Retries": "retries"})


def _update(config: _Values) -> _Values:
    times = ("Delay", "Monitor")
    shown = {key: seconds(value) if key in times else value for key, value in config.items()}
    return _renamed(shown, _UPDATE)


_UPDATE = {
    "Parallelism": "parallelism",
    "Delay": "delay",
    "FailureAction": "failure_action",
    "Monitor": "monitor",
    "MaxFailureRatio": "max_failure_ratio",
    "Order": "order",
}


def _restart(policy: _Values) -> _Values:
    times = ("Delay", "Window")
    shown = {key: seconds(value) if key in times else value for key, value in policy.items()}
    names = {"Condition": "condition", "MaxAttempts": "max_attempts"}
    return _renamed(shown, {**names, "Delay": "delay", "Window": "window"})


def _generic(entries: list[_Values]) -> list[_Values]:
    return [
        {"discrete_resource_spec": _renamed(spec, {"Kind": "kind", "Value": "value"})}
        if (spec := entry.get("DiscreteResourceSpec"))
        else entry
        for entry in entries
    ]


def _spreads(entries: list[_Values]) -> list[_Values]:
    return [{"spread": (each.get("Spread") or {}).get("SpreadDescriptor")} for each in entries]


def _platform(entries: list[_Values]) -> str:
    return ", ".join(f"{each.get('OS', '')}/{each.get('Architecture', '')}" for each in entries)


def _networks(entries: list[_Values]) -> _Values:
    names = {"Aliases": "aliases", "DriverOpts": "driver_opts"}
    return {
        str(each.get("Target")): _renamed({k: v for k, v in each.items() if k != "Target"}, names)
        for each in entries
    }


def _ports(entries: list[_Values]) -> list[_Values]:
    return [
        _some(
            {
                "target": each.get("TargetPort", 0),
                "published": str(each["PublishedPort"]) if each.get("PublishedPort") else None,
                "protocol": each.get("Protocol", "tcp"),
                "mode": each.get("PublishMode", "ingress"),
                "name": each.get("Name"),
            }
        )
        for each in entries
    ]


def _mounts(entries: list[_Values]) -> list[_Values]:
    return [_renamed(_deep(each), _MOUNT) for each in entries]


def _deep(mount: _Values) -> _Values:
    return {
        key: _renamed(value, _MOUNT_OPTIONS) if isinstance(value, dict) else value
        for key, value in mount.items()
    }


_MOUNT = {
    "Type": "type",
    "Source": "source",
    "Target": "target",
    "ReadOnly": "read_only",
    "Consistency": "consistency",
    "BindOptions": "bind",
    "VolumeOptions": "volume",
    "TmpfsOptions": "tmpfs",
    "ImageOptions": "image",
}
_MOUNT_OPTIONS = {
    "Propagation": "propagation",
    "CreateMountpoint": "create_host_path",
    "NonRecursive": "non_recursive",
    "NoCopy": "nocopy",
    "Labels": "labels",
    "Subpath": "subpath",
    "DriverConfig": "driver",
    "SizeBytes": "size",
    "Mode": "mode",
    "Options": "options",
}


def _grants(kind: str) -> Callable[[list[_Values]], list[_Values]]:
    """Configs or secrets; what they hold shows in their names."""

    def read(entries: list[_Values]) -> list[_Values]:
        return [
            _grant(str(each.get(f"{kind}Name", "")), each.get("File") or {}) for each in entries
        ]

    return read


def _grant(name: str, file: Mapping[str, Any]) -> _Values:
    base, dash, hashed = name.rpartition("-")
    is_ours = bool(dash) and len(hashed) == HASH_DIGITS and set(hashed) <= set("0123456789abcdef")
    return _some(
        {
            "source": base if is_ours else name,
            "target": file.get("Name"),
            "uid": file.get("UID"),
            "gid": file.get("GID"),
            "mode": file.get("Mode"),
            "sha256": hashed if is_ours else None,
        }
    )


def _security(privileges: _Values) -> list[str]:
    """One entry each, as `security_opt` has them or nearly so."""
    found = []
    for key, value in sorted(privileges.items()):
        if key == "NoNewPrivileges":
            found.append("no-new-privileges:true")
        elif isinstance(value, dict):
            words = ",".join(f"{name}:{word}" for name, word in sorted(value.items()))
            found.append(f"{key}={words}")
        else:
            found.append(f"{key}={value}")
    return found


def _cpus(count: int) -> float:
    return count / 1e9


_CONTAINER = "TaskTemplate.ContainerSpec"
_TASK = "TaskTemplate"
_PLACES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    f"{_CONTAINER}.Image": ("image", _same),
    f"{_CONTAINER}.Command": ("entrypoint", _same),
    f"{_CONTAINER}.Args": ("command", _same),
    f"{_CONTAINER}.Hostname": ("hostname", _same),
    f"{_CONTAINER}.Env": ("environment", _environment),
    f"{_CONTAINER}.Labels": ("labels", _container_labels),
    f"{_CONTAINER}.Dir": ("working_dir", _same),
    f"{_CONTAINER}.User": ("user", _same),
    f"{_CONTAINER}.Groups": ("group_add", _same),
    f"{_CONTAINER}.Privileges": ("security_opt", _security),
    f"{_CONTAINER}.StopSignal": ("stop_signal", _same),
    f"{_CONTAINER}.StopGracePeriod": ("stop_grace_period", seconds),
    f"{_CONTAINER}.TTY": ("tty", _same),
    f"{_CONTAINER}.OpenStdin": ("stdin_open", _same),
    f"{_CONTAINER}.ReadOnly": ("read_only", _same),
    f"{_CONTAINER}.Init": ("init", _same),
    f"{_CONTAINER}.Isolation": ("isolation", _same),
    f"{_CONTAINER}.Sysctls": ("sysctls", _same),
    f"{_CONTAINER}.CapabilityAdd": ("cap_add", _same),
    f"{_CONTAINER}.CapabilityDrop": ("cap_drop", _same),
    f"{_CONTAINER}.Ulimits": ("ulimits", _ulimits),
    f"{_CONTAINER}.OomScoreAdj": ("oom_score_adj", _same),
    f"{_CONTAINER}.Hosts": ("extra_hosts", _hosts),
    f"{_CONTAINER}.DNSConfig.Nameservers": ("dns", _same),
    f"{_CONTAINER}.DNSConfig.Search": ("dns_search", _same),
    f"{_CONTAINER}.DNSConfig.Options": ("dns_opt", _same),
    f"{_CONTAINER}.Healthcheck": ("healthcheck", _health),
    f"{_CONTAINER}.Mounts": ("volumes", _mounts),
    f"{_CONTAINER}.Secrets": ("secrets", _grants("Secret")),
    f"{_CONTAINER}.Configs": ("configs", _grants("Config")),
    f"{_TASK}.Resources.Limits.NanoCPUs": ("deploy.resources.limits.cpus", _cpus),
    f"{_TASK}.Resources.Limits.MemoryBytes": ("deploy.resources.limits.memory", _same),
    f"{_TASK}.Resources.Limits.Pids": ("deploy.resources.limits.pids", _same),
    f"{_TASK}.Resources.SwapBytes": ("swap", _same),
    f"{_TASK}.Resources.MemorySwappiness": ("mem_swappiness", _same),
    f"{_TASK}.Resources.Reservations.NanoCPUs": ("deploy.resources.reservations.cpus", _cpus),
    f"{_TASK}.Resources.Reservations.MemoryBytes": ("deploy.resources.reservations.memory", _same),
    f"{_TASK}.Resources.Reservations.GenericResources": (
        "deploy.resources.reservations.generic_resources",
        _generic,
    ),
    f"{_TASK}.RestartPolicy": ("deploy.restart_policy", _restart),
    f"{_TASK}.Placement.Constraints": ("deploy.placement.constraints", _same),
    f"{_TASK}.Placement.Preferences": ("deploy.placement.preferences", _spreads),
    f"{_TASK}.Placement.MaxReplicas": ("deploy.placement.max_replicas_per_node", _same),
    f"{_TASK}.Placement.Platforms": ("platform", _platform),
    f"{_TASK}.LogDriver.Name": ("logging.driver", _same),
    f"{_TASK}.LogDriver.Options": ("logging.options", _same),
    f"{_TASK}.Networks": ("networks", _networks),
    "Networks": ("networks", _networks),
    "UpdateConfig": ("deploy.update_config", _update),
    "RollbackConfig": ("deploy.rollback_config", _update),
    "EndpointSpec.Mode": ("deploy.endpoint_mode", _same),
    "EndpointSpec.Ports": ("ports", _ports),
}
"""Where a spec has a value -> where the stack file has it, and how it is written there."""


def _read_mode(found: _Values, mode: _Values) -> None:
    """`Replicated: {Replicas: 2}` as `deploy.mode` and `deploy.replicas`."""
    for key, name in _MODES.items():
        if key in mode:
            _put(found, "deploy.mode", name)
            counts = mode[key] or {}
            replicas = counts.get("Replicas", counts.get("TotalCompletions"))
            if replicas is not None:
                _put(found, "deploy.replicas", replicas)
            if counts.get("MaxConcurrent", replicas) != replicas:
                _put(found, "deploy.max_concurrent", counts["MaxConcurrent"])


def _read_swap(found: _Values) -> None:
    """What swap there is, as how much it is with the memory."""
    swap = found.pop("swap", None)
    if swap is not None:
        limits = found.get("deploy", {}).get("resources", {}).get("limits", {})
        found["memswap_limit"] = swap if swap < 0 else limits.get("memory", 0) + swap


def _read_network_mode(found: _Values) -> None:
    """A network of the node's own, joined by itself, as `network_mode`."""
    for name in ("host", "bridge"):
        if found.get("networks") == {name: {}}:
            del found["networks"]
            found["network_mode"] = name


_MODES = {
    "Replicated": "replicated",
    "Global": "global",
    "ReplicatedJob": "replicated-job",
    "GlobalJob": "global-job",
}
