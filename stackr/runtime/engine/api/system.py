"""`/_ping`, `/version`, `/info`, `/events`, `/system/df`: the engine as a whole.

Source: Docker Engine API, "System".
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api import build, containers, disk_usage, volumes
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.http import BodyWriter, Request, Response, json_response
from stackr.runtime.engine.api.image_json import without_intermediate
from stackr.runtime.engine.api.images import summaries
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import parse_time, rfc3339
from stackr.runtime.engine.events import Event
from stackr.runtime.engine.linux.facts import HostFacts, host_facts
from stackr.runtime.engine.options import EngineOptions
from stackr.runtime.engine.version import (
    API_VERSION,
    CAPABILITIES,
    DOCKER_VERSION,
    version_text,
)
from stackr.version import __version__

__all__ = ["ROUTES"]

_NS = 1_000_000_000
_PING_HEADERS = (
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Pragma", "no-cache"),
    ("Stackr-Capabilities", ", ".join(CAPABILITIES)),
    ("Swarm", "inactive"),
)
_DF_TYPES = frozenset({"container", "image", "volume", "build-cache"})
# A filter's key and the type of event whose ID or name it selects, as dockerd has it.
_EVENT_SUBJECTS = ("container", "image", "network", "volume", "daemon")
_EVENT_FILTERS = frozenset(
    {*_EVENT_SUBJECTS, "config", "event", "label", "node", "plugin", "scope", "secret"}
    | {"service", "type"}
)


async def _ping(engine: Engine, request: Request) -> Response:
    return Response(200, b"OK", (*_PING_HEADERS, ("Stackr-Engine-Id", engine.id)))


async def _version(engine: Engine, request: Request) -> Response:
    host = host_facts()
    runtime = await engine.containers.oci_runtime()
    details = {
        "ApiVersion": version_text(API_VERSION),
        "Arch": host.go_architecture,
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": "",
        "KernelVersion": host.kernel,
        "MinAPIVersion": engine.config.options.min_api_version,
        "Os": "linux",
    }
    return json_response(
        {
            "Platform": {"Name": "stackr embedded engine"},
            "Components": [
                {"Name": "Engine", "Version": DOCKER_VERSION, "Details": details},
                {"Name": runtime.name, "Version": runtime.version, "Details": {"GitCommit": ""}},
                {
                    "Name": "stackr",
                    "Version": __version__,
                    "Details": {"Capabilities": ", ".join(CAPABILITIES)},
                },
            ],
            "Version": DOCKER_VERSION,
            "ApiVersion": details["ApiVersion"],
            "MinAPIVersion": details["MinAPIVersion"],
            "GitCommit": "",
            "GoVersion": "",
            "Os": "linux",
            "Arch": host.go_architecture,
            "KernelVersion": host.kernel,
            "BuildTime": "",
        }
    )


async def _info(engine: Engine, request: Request) -> Response:
    host = host_facts()
    return json_response(
        {
            "ID": engine.id,
            **_container_counts(engine),
            "Images": len(engine.images.list()),
            **_host_info(host, engine.config.options),
            **await _runtime_info(engine),
            "Driver": "overlay2",
            "DriverStatus": [["Backing Filesystem", "overlayfs"]],
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "null"],
                "Authorization": None,
                "Log": ["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"],
            },
            "Debug": engine.config.options.debug,
            "NFd": -1,
            "NGoroutines": len(asyncio.all_tasks()),
            "SystemTime": rfc3339(time.time_ns()),
            "LoggingDriver": engine.config.options.log_driver,
            "NEventsListener": engine.events.subscribers,
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": _registries(engine),
            "GenericResources": None,
            "DockerRootDir": str(engine.config.data_root),
            **_proxies(),
            "Labels": list(engine.config.options.labels),
            "ExperimentalBuild": False,
            "ServerVersion": DOCKER_VERSION,
            "LiveRestoreEnabled": engine.config.options.live_restore,
            "Isolation": "",
            "InitBinary": engine.config.options.init_path or "docker-init",
            "ProductLicense": "",
            "DefaultAddressPools": [
                {"Base": str(pool.base), "Size": pool.prefix_length}
                for pool in engine.config.address_pools
            ],
            "Warnings": [f"WARNING: {warning}" for warning in engine.warnings()] or None,
            "CDISpecDirs": list(engine.config.options.cdi_spec_dirs) or None,
        }
    )


def _container_counts(engine: Engine) -> dict[str, int]:
    states = [container.state.status.value for container in engine.containers.list()]
    running = states.count("running") + states.count("restarting")
    paused = states.count("paused")
    return {
        "Containers": len(states),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(states) - running - paused,
    }


def _proxies() -> dict[str, str]:
    """By which registries are reached, without their passwords."""
    found = urllib.request.getproxies_environment()
    return {
        "HttpProxy": _masked(found.get("http", "")),
        "HttpsProxy": _masked(found.get("https", "")),
        "NoProxy": found.get("no", ""),
    }


def _masked(url: str) -> str:
    """As dockerd masks them. Source: moby, daemon/config, MaskCredentials."""
    scheme, found, rest = url.rpartition("://")
    user, has_user, host = rest.rpartition("@")
    return f"{scheme}{found}xxxxx:xxxxx@{host}" if has_user and user else url


def _host_info(host: HostFacts, options: EngineOptions) -> dict[str, Any]:
    security = [f"name=seccomp,profile={options.seccomp_profile or 'builtin'}"]
    private = "private" if host.cgroup_version == "2" else "host"
    if (options.default_cgroupns_mode or private) == "private":
        security.append("name=cgroupns")
    lacks = host.lacks_controllers
    return {
        "MemoryLimit": "memory" not in lacks,
        "SwapLimit": "memory" not in lacks,
        "CpuCfsPeriod": "cpu" not in lacks,
        "CpuCfsQuota": "cpu" not in lacks,
        "CPUShares": "cpu" not in lacks,
        "CPUSet": "cpuset" not in lacks,
        "PidsLimit": "pids" not in lacks,
        "IPv4Forwarding": True,
        "OomKillDisable": host.cgroup_version == "1",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": host.cgroup_version,
        "KernelVersion": host.kernel,
        "OperatingSystem": host.operating_system,
        "OSVersion": host.os_version,
        "OSType": "linux",
        "Architecture": host.architecture,
        "NCPU": host.cpus,
        "MemTotal": host.memory_bytes,
        "Name": host.name,
        "SecurityOptions": security,
    }


async def _runtime_info(engine: Engine) -> dict[str, Any]:
    runtime = await engine.containers.oci_runtime()
    commit = {"ID": runtime.version, "Expected": runtime.version}
    return {
        "Runtimes": {runtime.name: {"path": str(runtime.path)}},
        "DefaultRuntime": runtime.name,
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": commit,
        "InitCommit": {"ID": "", "Expected": ""},
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
    }


def _registries(engine: Engine) -> dict[str, Any]:
    def index(name: str, secure: bool) -> dict[str, Any]:
        official = name == "docker.io"
        return {"Name": name, "Mirrors": [], "Secure": secure, "Official": official}

    options = engine.config.options
    insecure = [name for name in options.insecure_registries if "/" not in name]
    networks = [name for name in options.insecure_registries if "/" in name]
    mirrors = [f"{mirror.rstrip('/')}/" for mirror in options.registry_mirrors]
    return {
        "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", *networks],
        "IndexConfigs": {
            "docker.io": {**index("docker.io", secure=True), "Mirrors": mirrors},
            **{name: index(name, secure=False) for name in insecure},
        },
        "Mirrors": mirrors or None,
    }


async def _events(engine: Engine, request: Request) -> None:
    filters = Filters.parse(request.text("filters"), _EVENT_FILTERS)
    since_ns = parse_time(request.text("since"), "since")
    until_ns = parse_time(request.text("until"), "until")
    if since_ns and until_ns and until_ns < since_ns:
        raise InvalidArgument(
            f"`since` time ({request.text('since')}) cannot be after"
            f" `until` time ({request.text('until')})"
        )
    writer = await request.stream("application/json")
    left_s = None if until_ns is None else (until_ns - time.time_ns()) / _NS
    if left_s is not None and left_s <= 0:
        for event in engine.events.kept():
            if (since_ns is None or event.time_ns >= since_ns) and event.time_ns <= (until_ns or 0):
                await _send_event(writer, event, filters)
        return
    try:
        async with asyncio.timeout(left_s):
            async with aclosing(engine.events.subscribe(since_ns=since_ns)) as events:
                await _send_events(writer, events, filters)
    except TimeoutError:
        return  # the time of `until` has come


async def _send_events(writer: BodyWriter, events: AsyncIterator[Event], filters: Filters) -> None:
    async for event in events:
        await _send_event(writer, event, filters)


async def _send_event(writer: BodyWriter, event: Event, filters: Filters) -> None:
    if _is_wanted(event, filters):
        await writer.write(json.dumps(_event_to_json(event)).encode() + b"\n")


def _is_wanted(event: Event, filters: Filters) -> bool:
    action = event.action.partition(":")[0]
    return (
        filters.any_of("event", event.action, action)
        and filters.exact("type", event.type)
        and filters.exact("scope", "local")
        and filters.labels(event.attributes)
        and all(_is_subject(event, kind, filters) for kind in _EVENT_SUBJECTS)
    )


def _is_subject(event: Event, kind: str, filters: Filters) -> bool:
    """Whether the event is about the thing that a filter such as `container=web` names."""
    if kind not in filters:
        return True
    if event.type != kind:
        return kind in event.attributes and event.attributes[kind].startswith(filters.get(kind))
    names = {event.id, event.attributes.get("name", "")}
    if kind == "image":
        names |= {name.rpartition(":")[0] for name in names}
        names.add(event.attributes.get("image", ""))
    return event.id.startswith(filters.get(kind)) or filters.any_of(kind, *names)


def _event_to_json(event: Event) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if event.type in ("container", "image"):
        value = {"status": event.action, "id": event.id}
    if event.type == "container":
        value["from"] = event.attributes.get("image", "")
    return {
        **value,
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(event.attributes)},
        "scope": "local",
        "time": event.time_ns // _NS,
        "timeNano": event.time_ns,
    }


async def _disk_usage(engine: Engine, request: Request) -> Response:
    wanted = set(request.query.get("type", _DF_TYPES))
    unknown = wanted - _DF_TYPES
    if unknown:
        raise InvalidArgument(f"unknown object type: {min(unknown)}")
    usage: dict[str, Any] = {}
    if "image" in wanted:
        usage["LayersSize"] = engine.images.layers_size()
        images = without_intermediate(engine.images.list())
        usage["Images"] = summaries(engine, images, request.api_version, shared=True)
    if "container" in wanted:
        usage["Containers"] = await _container_usage(engine, request)
    if "volume" in wanted:
        usage["Volumes"] = await volumes.usage(engine)
    if "build-cache" in wanted:
        usage["BuildCache"] = await build.usage(engine)
    if request.api_version >= (1, 52):
        usage = disk_usage.summed(usage, verbose=request.flag("verbose"))
    return json_response(usage)


async def _container_usage(engine: Engine, request: Request) -> list[dict[str, Any]]:
    every = engine.containers.list()
    return await containers.summaries(engine, every, size=True, version=request.api_version)


ROUTES = (
    Route("GET", "/_ping", _ping),
    Route("HEAD", "/_ping", _ping),
    Route("GET", "/version", _version),
    Route("GET", "/info", _info),
    Route("GET", "/events", _events, follows=True),
    Route("GET", "/system/df", _disk_usage),
)
