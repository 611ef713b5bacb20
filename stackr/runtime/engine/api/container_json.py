"""A container as the API shows it: whole for an inspection, short for a list. Pure.

Source: Docker Engine API, `ContainerInspectResponse`, `ContainerSummary`, `EndpointSettings`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stackr.runtime.engine.api.durations import in_words
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.container.oci.bundle import MASKED_PATHS, READONLY_PATHS
from stackr.runtime.engine.container.records.record import STANDBY_LABEL, Container, MountPoint
from stackr.runtime.engine.container.settings.spec import HostConfig, Resources
from stackr.runtime.engine.container.settings.unhealthy import (
    RESTART_UNHEALTHY_LABEL,
    restart_unhealthy,
)
from stackr.runtime.engine.network.types import Endpoint, PublishedPort, SandboxInfo

__all__ = ["endpoint_settings", "inspection", "ports_of", "status_text", "summary"]

_NULL_WHERE_EMPTY = (
    *("Binds", "VolumesFrom", "CapAdd", "CapDrop", "GroupAdd", "SecurityOpt"),
    *("DeviceCgroupRules", "DeviceRequests", "ExtraHosts"),
)
_NOT_HERE: dict[str, Any] = {
    "Cgroup": "",
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumBandwidth": 0,
    "IOMaximumIOps": 0,
    "KernelMemory": 0,
    "KernelMemoryTCP": 0,
}
"""Keys that clients expect, of what no container of this engine has."""
_SHM_BYTES = 64 << 20
_NS = 1_000_000_000
_CHANGEABLE = {*Resources.model_fields, "oom_kill_disable"}


def inspection(
    container: Container,
    *,
    folder: Path,
    log_path: Path | None,
    graph_data: dict[str, str] | None,
    runtime: str,
    links: Sequence[str],
    endpoints: dict[str, Endpoint],
    sandbox: SandboxInfo | None,
    exec_ids: Iterable[str],
    standby: bool,
    severed: bool | None,
) -> dict[str, Any]:
    """The whole of a container.

    folder: of its hosts, hostname and resolv.conf. graph_data: the folders of its overlay.
    runtime: the OCI runtime's name. links: "/db:/web/database". endpoints: by network name.
    """
    command = container.command or [""]
    host_config = _host_config(container)
    host_config["Links"] = list(links) or None
    host_config["Runtime"] = host_config["Runtime"] or runtime
    return {
        "Id": container.id,
        "Created": rfc3339(container.created_ns),
        "Path": command[0],
        "Args": command[1:],
        "State": _state(container),
        "Image": container.image_id,
        "ResolvConfPath": str(folder / "resolv.conf"),
        "HostnamePath": str(folder / "hostname"),
        "HostsPath": str(folder / "hosts"),
        "LogPath": str(log_path or ""),
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlay2",
        "Platform": container.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(exec_ids) or None,
        "HostConfig": host_config,
        "GraphDriver": {"Name": "overlay2", "Data": graph_data},
        "Mounts": _mounts(container),
        "Config": _config(container),
        "NetworkSettings": _network_settings(container, endpoints, sandbox),
        **_own(container, standby, severed),
    }


def _own(container: Container, standby: bool, severed: bool | None) -> dict[str, Any]:
    """stackr's own, of containers that take part in a handover, or joined another's namespaces;
    the rest look as Docker's do."""
    found: dict[str, Any] = {}
    if STANDBY_LABEL in container.config.labels or container.replaced_by:
        found = {"Standby": standby, "ReplacedBy": container.replaced_by}
    if severed is not None:
        found["Severed"] = severed
    if RESTART_UNHEALTHY_LABEL in container.config.labels:
        found["RestartUnhealthy"] = _restart_unhealthy(container)
    return {"Stackr": found} if found else {}


def _restart_unhealthy(container: Container) -> dict[str, Any]:
    """What the label asks for, times in nanoseconds as those of a health check; and what became
    of it."""
    counted = container.unhealthy_restarts
    policy = restart_unhealthy(container.config.labels)
    asked = (
        {}
        if policy is None
        else {
            "MaxAttempts": policy.max_attempts,
            "Delay": round(policy.delay_s * _NS),
            "Window": round(policy.window_s * _NS),
        }
    )
    return {
        **asked,
        "Enabled": policy is not None,
        "Attempts": counted.attempts,
        "Restarts": counted.total,
        "GivenUp": counted.given_up,
    }


def _state(container: Container) -> dict[str, Any]:
    state = container.state
    status = state.status.value
    value = {
        "Status": status,
        "Running": status in ("running", "paused", "restarting"),
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": status == "dead",
        "Pid": container.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_ns),
        "FinishedAt": rfc3339(state.finished_ns),
    }
    if state.health is not None:
        value["Health"] = {
            "Status": state.health.status,
            "FailingStreak": state.health.failing_streak,
            "Log": [
                {
                    "Start": rfc3339(probe.start_ns),
                    "End": rfc3339(probe.end_ns),
                    "ExitCode": probe.exit_code,
                    "Output": probe.output,
                }
                for probe in state.health.log
            ],
        }
    return value


def _config(container: Container) -> dict[str, Any]:
    value = container.config.to_json()
    value["Hostname"] = container.hostname
    for key in ("Cmd", "Volumes", "ExposedPorts", "OnBuild"):
        value[key] = value.get(key) or None
    return value


def _host_config(container: Container) -> dict[str, Any]:
    value = container.host_config.to_json()
    for key in _NULL_WHERE_EMPTY:
        value[key] = value.get(key) or None
    for key in ("Mounts", "Annotations", "Sysctls", "Init", "StorageOpt"):
        if value.get(key) in (None, [], {}):
            value.pop(key, None)
    if not container.host_config.privileged:
        value["MaskedPaths"] = container.host_config.masked_paths or list(MASKED_PATHS)
        value["ReadonlyPaths"] = container.host_config.readonly_paths or list(READONLY_PATHS)
    value |= _NOT_HERE
    value["PidsLimit"] = value["PidsLimit"] or None
    value["MemorySwappiness"] = _given_swappiness(container.host_config)
    value["LogConfig"]["Type"] = value["LogConfig"]["Type"] or "json-file"
    value["RestartPolicy"]["Name"] = value["RestartPolicy"]["Name"] or "no"
    value["IpcMode"] = value["IpcMode"] or "private"
    value["ShmSize"] = value["ShmSize"] or _SHM_BYTES
    return value


def _given_swappiness(host_config: HostConfig) -> int | None:
    """-1 is how clients say that they do not care."""
    given = host_config.memory_swappiness
    return None if given == -1 else given


def _mounts(container: Container) -> list[dict[str, Any]]:
    """Those of `HostConfig.Tmpfs` are told there alone, as dockerd does."""
    shown = container.host_config.tmpfs
    return [
        _mount(mount)
        for mount in container.mounts
        if mount.type != "tmpfs" or mount.destination not in shown
    ]


def _mount(mount: MountPoint) -> dict[str, Any]:
    value = {
        "Type": mount.type,
        "Source": mount.source,
        "Destination": mount.destination,
        "Mode": mount.mode,
        "RW": mount.rw,
        "Propagation": mount.propagation,
    }
    if mount.type == "volume":
        value |= {"Name": mount.name, "Driver": mount.driver or "local"}
    if mount.type == "image":
        value["Name"] = mount.name
    return value


def _network_settings(
    container: Container, endpoints: dict[str, Endpoint], sandbox: SandboxInfo | None
) -> dict[str, Any]:
    networks = {name: endpoint_settings(e) for name, e in endpoints.items()}
    value: dict[str, Any] = {
        "Bridge": "",
        "SandboxID": sandbox.sandbox_id if sandbox else "",
        "SandboxKey": sandbox.sandbox_key if sandbox else "",
        "Ports": ports_of(container, sandbox.ports if sandbox else ()),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "Networks": networks,
    }
    default = networks.get("bridge", {})
    for key in ("EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway"):
        value[key] = default.get(key, "")
    value["MacAddress"] = default.get("MacAddress", "")
    for key in ("GlobalIPv6PrefixLen", "IPPrefixLen"):
        value[key] = default.get(key, 0)
    return value


def endpoint_settings(endpoint: Endpoint) -> dict[str, Any]:
    """One container on one network."""
    spec = endpoint.spec
    return {
        "IPAMConfig": _ipam_config(endpoint),
        "Links": list(spec.links) or None,
        "Aliases": list(spec.aliases) or None,
        "MacAddress": endpoint.mac_address,
        "DriverOpts": dict(spec.driver_opts) or None,
        "GwPriority": spec.gw_priority,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.endpoint_id,
        "Gateway": endpoint.gateway,
        "IPAddress": endpoint.ipv4_address,
        "IPPrefixLen": endpoint.ipv4_prefix_length,
        "IPv6Gateway": endpoint.ipv6_gateway,
        "GlobalIPv6Address": endpoint.ipv6_address,
        "GlobalIPv6PrefixLen": endpoint.ipv6_prefix_length,
        "DNSNames": list(endpoint.dns_names) or None,
    }


def _ipam_config(endpoint: Endpoint) -> dict[str, Any] | None:
    spec = endpoint.spec
    value: dict[str, Any] = {}
    if spec.ipv4_address:
        value["IPv4Address"] = spec.ipv4_address
    if spec.ipv6_address:
        value["IPv6Address"] = spec.ipv6_address
    if spec.link_local_ips:
        value["LinkLocalIPs"] = list(spec.link_local_ips)
    return value or None


def ports_of(container: Container, published: Iterable[PublishedPort]) -> dict[str, Any]:
    """`NetworkSettings.Ports`: null for a port that is exposed and not published."""
    if not container.state.status.is_up:
        return {}
    ports: dict[str, Any] = dict.fromkeys(container.config.exposed)
    for port in published:
        key = f"{port.container_port}/{port.protocol}"
        bindings = ports.get(key) or []
        ports[key] = [*bindings, {"HostIp": port.host_ip, "HostPort": str(port.host_port)}]
    return ports


def summary(
    container: Container,
    *,
    endpoints: dict[str, Endpoint],
    sandbox: SandboxInfo | None,
    version: tuple[int, int],
    names: Sequence[str],
    standby: bool,
    severed: bool | None,
) -> dict[str, Any]:
    """A container as one entry of a list. names: by which others that link to it know it."""
    host_config: dict[str, Any] = {
        "NetworkMode": container.host_config.network_mode,
        **_changeable(container.host_config),
        **_shared(container.host_config),
    }
    if version >= (1, 46) and container.host_config.annotations:
        host_config["Annotations"] = container.host_config.annotations
    return {
        "Id": container.id,
        "Names": [f"/{container.name}", *names],
        "Image": container.config.image,
        "ImageID": container.image_id,
        "Command": _command_text(container.command),
        "Created": container.created_ns // _NS,
        "Ports": _summary_ports(container, sandbox.ports if sandbox else ()),
        "Labels": container.config.labels,
        "State": container.state.status.value,
        "Status": status_text(container, now_ns=time.time_ns()),
        "HostConfig": host_config,
        "NetworkSettings": {
            "Networks": {name: endpoint_settings(e) for name, e in endpoints.items()}
        },
        "Mounts": _mounts(container),
        **_own(container, standby, severed),
    }


def _changeable(host_config: HostConfig) -> dict[str, Any]:
    """stackr's own: what `update` may have changed. Other clients pass it over."""
    limits = host_config.model_dump(
        by_alias=True, mode="json", exclude_defaults=True, include=_CHANGEABLE
    )
    policy = host_config.restart_policy
    restart = {"Name": policy.name or "no", "MaximumRetryCount": policy.maximum_retry_count}
    return {**limits, "RestartPolicy": restart}


def _shared(host_config: HostConfig) -> dict[str, Any]:
    """stackr's own: what the container has of others."""
    modes = {"IpcMode": host_config.ipc_mode, "PidMode": host_config.pid_mode}
    shared: dict[str, Any] = {k: m for k, m in modes.items() if m.startswith("container:")}
    if host_config.volumes_from:
        shared["VolumesFrom"] = list(host_config.volumes_from)
    return shared


def _command_text(command: list[str]) -> str:
    """The command in one line, as dockerd has it: words with a blank in quotes."""
    return " ".join([*command[:1], *(f"'{w}'" if " " in w else w for w in command[1:])])


def _summary_ports(
    container: Container, published: Iterable[PublishedPort]
) -> list[dict[str, Any]]:
    ports: list[dict[str, Any]] = []
    taken = set()
    for port in published:
        taken.add(f"{port.container_port}/{port.protocol}")
        ports.append(
            {
                "IP": port.host_ip,
                "PrivatePort": port.container_port,
                "PublicPort": port.host_port,
                "Type": port.protocol,
            }
        )
    if container.state.status.is_up:
        for number, protocol in container.config.exposed_numbers:
            if f"{number}/{protocol}" not in taken:
                ports.append({"PrivatePort": number, "Type": protocol})
    return ports


def status_text(container: Container, *, now_ns: int) -> str:
    """What `docker ps` shows under STATUS."""
    state = container.state
    age = in_words((now_ns - (state.finished_ns or now_ns)) / _NS)
    match state.status.value:
        case "running" | "paused":
            up = f"Up {in_words(container.uptime_s or (now_ns - state.started_ns) / _NS)}"
            if state.status.value == "paused":
                return f"{up} (Paused)"
            return up + _restarts_text(container) + _health_text(container)
        case "restarting":
            return f"Restarting ({state.exit_code}) {age} ago"
        case "removing":
            return "Removal In Progress"
        case "dead":
            return "Dead"
        case "exited":
            return f"Exited ({state.exit_code}) {age} ago"
        case _:
            return "Created"


def _restarts_text(container: Container) -> str:
    """How often it was restarted for want of health, which Docker's containers never are."""
    counted = container.unhealthy_restarts
    if not counted.total:
        return ""
    times = "once" if counted.total == 1 else f"{counted.total} times"
    return f", restarted {times}{', given up' if counted.given_up else ''}"


def _health_text(container: Container) -> str:
    health = container.state.health
    if health is None:
        return ""
    return " (health: starting)" if health.status == "starting" else f" ({health.status})"
