"""What an engine reports, from the Engine API's JSON. Pure.

A listing and an inspection name the same things in two ways; both become a `ContainerState`.
Source: Docker Engine API, ContainerSummary, ContainerInspectResponse, Network, Volume,
ImageInspect, EventMessage.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from stackr.runtime.types import (
    ContainerState,
    ContainerStats,
    EndpointState,
    EngineEvent,
    EngineInfo,
    ImageState,
    IpamPool,
    MountState,
    NetworkFault,
    NetworkState,
    PublishedPort,
    PullProgress,
    VolumeState,
)
from stackr.text import whole_number

__all__ = [
    "container_inspected",
    "container_listed",
    "container_stats",
    "engine_event",
    "engine_info",
    "image_state",
    "network_fault",
    "network_state",
    "pull_progress",
    "unix_time",
    "volume_state",
]

Json = dict[str, Any]


def unix_time(text: str | None) -> float:
    """RFC 3339 with up to nine digits of a second, in Unix seconds; 0 for Go's zero time."""
    if not text or text.startswith("0001-"):
        return 0.0
    whole, dot, rest = text.partition(".")
    fraction = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    zone = rest[len(fraction) :] if dot else ""
    moment = datetime.fromisoformat((whole + zone).replace("Z", "+00:00"))
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def _health(status: str) -> str:
    for word in ("(healthy)", "(unhealthy)", "(health: starting)"):
        if status.endswith(word):
            return word.strip("()").removeprefix("health: ")
    return ""


def _exit_code(status: str) -> int | None:
    """The listing has it in words only: "Exited (137) 2 hours ago"."""
    if not status.startswith(("Exited (", "Restarting (")):
        return None
    digits = status[status.index("(") + 1 : status.index(")")]
    return whole_number(digits)


def container_listed(item: Json) -> ContainerState:
    """From an entry of `GET /containers/json`; stackr's engine has the limits in it."""
    status = item.get("Status") or ""
    host: Json = item.get("HostConfig") or {}
    return ContainerState(
        id=item["Id"],
        name=_own_name(item.get("Names") or []),
        image=item.get("Image") or "",
        image_id=item.get("ImageID") or "",
        state=item.get("State") or "",
        status=status,
        health=_health(status),
        exit_code=_exit_code(status),
        labels=item.get("Labels") or {},
        ports=tuple(
            PublishedPort(
                port["PrivatePort"],
                port.get("Type") or "tcp",
                port.get("IP") or "",
                port.get("PublicPort") or 0,
            )
            for port in item.get("Ports") or []
        ),
        networks=_endpoints(item),
        **_shared(item, host),
        mounts=_mounts(item),
        command=item.get("Command") or "",
        created=float(item.get("Created") or 0),
        **(_listed_limits(host) if "RestartPolicy" in host else {}),
        standby=_standby(item),
    )


def _listed_limits(host: Json) -> Json:
    from stackr.runtime.docker import limits

    return {"resources": limits.resources(host), "restart": limits.restart_policy(host)}


def _shared(item: Json, host: Json) -> Json:
    """What the container has of others. `Severed` is of stackr's own engine."""
    return {
        "network_mode": host.get("NetworkMode") or "",
        "ipc_mode": host.get("IpcMode") or "",
        "pid_mode": host.get("PidMode") or "",
        "volumes_from": tuple(host.get("VolumesFrom") or ()),
        "severed": (item.get("Stackr") or {}).get("Severed"),
    }


def _standby(item: Json) -> bool:
    """Of stackr's own engine; others have no such thing."""
    return bool((item.get("Stackr") or {}).get("Standby"))


def _own_name(names: list[str]) -> str:
    """A linked container is listed under its links' names too, which have a second slash."""
    return next((name[1:] for name in names if name.count("/") == 1), "")


def container_inspected(item: Json) -> ContainerState:
    """From the answer of `GET /containers/{id}/json`."""
    from stackr.runtime.docker import limits

    state: Json = item.get("State") or {}
    config: Json = item.get("Config") or {}
    host: Json = item.get("HostConfig") or {}
    health: Json = state.get("Health") or {}
    last: Json = (health.get("Log") or [{}])[-1]
    check = health.get("Status") or ""
    return ContainerState(
        id=item["Id"],
        name=(item.get("Name") or "").lstrip("/"),
        image=config.get("Image") or "",
        image_id=item.get("Image") or "",
        state=state.get("Status") or "",
        status=state.get("Status") or "",
        health="" if check == "none" else check,
        exit_code=state.get("ExitCode"),
        labels=config.get("Labels") or {},
        ports=_inspected_ports((item.get("NetworkSettings") or {}).get("Ports") or {}),
        networks=_endpoints(item),
        **_shared(item, host),
        mounts=_mounts(item),
        command=" ".join([item.get("Path") or "", *(item.get("Args") or [])]).strip(),
        created=unix_time(item.get("Created")),
        resources=limits.resources(host),
        restart=limits.restart_policy(host),
        started_at=unix_time(state.get("StartedAt")),
        finished_at=unix_time(state.get("FinishedAt")),
        error=state.get("Error") or "",
        oom_killed=bool(state.get("OOMKilled")),
        pid=state.get("Pid") or 0,
        restart_count=item.get("RestartCount") or 0,
        tty=bool(config.get("Tty")),
        open_stdin=bool(config.get("OpenStdin")),
        health_output=(last.get("Output") or "").strip(),
        health_exit_code=last.get("ExitCode"),
        standby=_standby(item),
        health_failing_streak=health.get("FailingStreak") or 0,
    )


def _inspected_ports(ports: Json) -> tuple[PublishedPort, ...]:
    found: list[PublishedPort] = []
    for key, bindings in ports.items():
        number, _, protocol = key.partition("/")
        found += [
            PublishedPort(
                int(number), protocol, binding["HostIp"], int(binding.get("HostPort") or 0)
            )
            for binding in bindings or [{"HostIp": ""}]
        ]
    return tuple(found)


def _endpoints(item: Json) -> tuple[EndpointState, ...]:
    networks: Json = (item.get("NetworkSettings") or {}).get("Networks") or {}
    return tuple(
        EndpointState(
            network=name,
            network_id=endpoint.get("NetworkID") or "",
            ipv4_address=endpoint.get("IPAddress") or "",
            ipv6_address=endpoint.get("GlobalIPv6Address") or "",
            mac_address=endpoint.get("MacAddress") or "",
            aliases=tuple(endpoint.get("Aliases") or ()),
        )
        for name, endpoint in networks.items()
    )


def _mounts(item: Json) -> tuple[MountState, ...]:
    return tuple(
        MountState(
            type=mount.get("Type") or "",
            target=mount.get("Destination") or "",
            source=mount.get("Source") or "",
            name=mount.get("Name") or "",
            read_only=not mount.get("RW", True),
        )
        for mount in item.get("Mounts") or []
    )


def network_state(item: Json) -> NetworkState:
    return NetworkState(
        name=item["Name"],
        id=item["Id"],
        driver=item.get("Driver") or "",
        scope=item.get("Scope") or "",
        internal=bool(item.get("Internal")),
        labels=item.get("Labels") or {},
        options=item.get("Options") or {},
        pools=tuple(
            IpamPool(
                subnet=pool.get("Subnet") or "",
                gateway=pool.get("Gateway") or "",
                ip_range=pool.get("IPRange") or "",
                aux_addresses=pool.get("AuxiliaryAddresses") or {},
            )
            for pool in (item.get("IPAM") or {}).get("Config") or []
        ),
    )


def network_fault(item: Json) -> NetworkFault:
    """From an entry of `GET /stackr/v1/networks/{id}/faults`."""
    return NetworkFault(item["What"], item["Found"], item["Wanted"])


def volume_state(item: Json) -> VolumeState:
    return VolumeState(
        name=item["Name"],
        driver=item.get("Driver") or "",
        mountpoint=item.get("Mountpoint") or "",
        labels=item.get("Labels") or {},
        options=item.get("Options") or {},
    )


def image_state(item: Json) -> ImageState:
    config: Json = item.get("Config") or {}
    return ImageState(
        id=item["Id"],
        tags=tuple(item.get("RepoTags") or ()),
        digests=tuple(item.get("RepoDigests") or ()),
        size_bytes=item.get("Size") or 0,
        created=unix_time(item.get("Created")),
        tagged=unix_time((item.get("Metadata") or {}).get("LastTagTime")),
        os=item.get("Os") or "",
        architecture=item.get("Architecture") or "",
        variant=item.get("Variant") or "",
        volumes=tuple(config.get("Volumes") or ()),
        labels=config.get("Labels") or {},
    )


def engine_event(item: Json) -> EngineEvent:
    actor: Json = item.get("Actor") or {}
    return EngineEvent(
        type=item.get("Type") or "",
        action=item.get("Action") or "",
        id=actor.get("ID") or "",
        attributes=actor.get("Attributes") or {},
        time_ns=item.get("timeNano") or 0,
    )


def engine_info(version: Json, system: Json, endpoint: str) -> EngineInfo:
    """From `GET /version` and `GET /info`. endpoint: the address that it was asked at."""
    return EngineInfo(
        name=(version.get("Platform") or {}).get("Name") or system.get("Name") or "",
        version=version.get("Version") or "",
        api_version=version.get("ApiVersion") or "",
        os=version.get("Os") or "",
        architecture=version.get("Arch") or "",
        kernel=version.get("KernelVersion") or "",
        cpus=system.get("NCPU") or 0,
        memory_bytes=system.get("MemTotal") or 0,
        endpoint=endpoint,
    )


def container_stats(item: Json) -> ContainerStats:
    """From a reading of `GET /containers/{id}/stats`.

    Source: docker/cli, cli/command/container/stats_helpers.go.
    """
    memory: Json = item.get("memory_stats") or {}
    networks: Json = item.get("networks") or {}
    return ContainerStats(
        cpu_percent=_cpu_percent(item.get("cpu_stats") or {}, item.get("precpu_stats") or {}),
        memory_bytes=_memory_bytes(memory),
        memory_limit_bytes=memory.get("limit") or 0,
        received_bytes=sum(each.get("rx_bytes") or 0 for each in networks.values()),
        sent_bytes=sum(each.get("tx_bytes") or 0 for each in networks.values()),
        read_bytes=_block_bytes(item, "r"),
        written_bytes=_block_bytes(item, "w"),
        pids=(item.get("pids_stats") or {}).get("current") or 0,
    )


def _cpu_percent(now: Json, before: Json) -> float:
    """Between two readings; 0 for the first, which has none before it."""
    if not before.get("system_cpu_usage"):
        return 0.0
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = (now.get("system_cpu_usage") or 0) - before["system_cpu_usage"]
    cpus = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or ()) or 1
    return float(used / passed * cpus * 100) if used > 0 and passed > 0 else 0.0


def _memory_bytes(memory: Json) -> int:
    """Without pages that the kernel takes back first: cgroup v1 and v2 name them otherwise."""
    used: int = memory.get("usage") or 0
    stats: Json = memory.get("stats") or {}
    inactive: int = stats.get("total_inactive_file", stats.get("inactive_file")) or 0
    return used - inactive if inactive < used else used


def _block_bytes(item: Json, operation: str) -> int:
    entries = (item.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return sum(e.get("value") or 0 for e in entries if e.get("op", "").lower()[:1] == operation)


def pull_progress(item: Json) -> PullProgress:
    """From a line of a pull or a push; its `error` is the caller's to look at first."""
    detail: Json = item.get("progressDetail") or {}
    return PullProgress(
        status=item.get("status") or "",
        layer=item.get("id") or "",
        current=detail.get("current") or 0,
        total=detail.get("total") or 0,
        digest=(item.get("aux") or {}).get("Digest") or "",
    )
