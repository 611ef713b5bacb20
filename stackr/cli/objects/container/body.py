"""The body of `POST /containers/create` that `container create`'s options make.

Source: docker/cli, cli/command/container/opts.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackr.cli.objects.command import FlagError
from stackr.cli.objects.container import mounts, networking, values
from stackr.cli.objects.container.options import CreateArguments
from stackr.errors import NotSupported

__all__ = ["attached_streams", "create_body", "gpu_request"]

Json = dict[str, Any]
_OF_WINDOWS = ("cpu_count", "cpu_percent", "io_maxbandwidth", "io_maxiops")
_STREAMS = ("stdin", "stdout", "stderr")
_ALL_SHOWN = "systempaths=unconfined"
_CGROUP_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
_SAME = {
    "cgroup_parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cidfile": "ContainerIDFile",
    "dns_options": "DnsOptions",
    "group_add": "GroupAdd",
    "ipc": "IpcMode",
    "isolation": "Isolation",
    "links": "Links",
    "oom_kill_disable": "OomKillDisable",
    "oom_score_adj": "OomScoreAdj",
    "pid": "PidMode",
    "privileged": "Privileged",
    "publish_all": "PublishAllPorts",
    "read_only": "ReadonlyRootfs",
    "auto_remove": "AutoRemove",
    "runtime": "Runtime",
    "userns": "UsernsMode",
    "uts": "UTSMode",
    "volume_driver": "VolumeDriver",
    "volumes_from": "VolumesFrom",
}
"""Options whose value is the field of HostConfig as it is."""


_MODES = {"userns": "USER", "cgroupns": "CGROUP"}


def create_body(arguments: CreateArguments, *, size: tuple[int, int] | None = None) -> Json:
    """size: (rows, columns) of the caller's terminal. Raises FlagError and NotSupported."""
    _refuse(arguments)
    _check_modes(arguments)
    mode, attached = networking.endpoints(arguments)
    host = _host_config(arguments) | {"NetworkMode": mode}
    if size is not None:
        host["ConsoleSize"] = list(size)
    host = _without_nothing(host) | _exactly(arguments)
    body = _config(arguments) | {"HostConfig": host}
    return body | ({"NetworkingConfig": {"EndpointsConfig": attached}} if attached else {})


def _refuse(arguments: CreateArguments) -> None:
    for name in _OF_WINDOWS:
        if getattr(arguments, name):
            option = "--" + name.replace("_", "-")
            raise NotSupported(f"{option}: not supported: it is for engines on Windows")
    if arguments.kernel_memory:
        raise NotSupported("--kernel-memory: not supported: no kernel does it any more")
    if arguments.api_socket:
        raise NotSupported("--use-api-socket: not supported", hint="mount the socket with --volume")
    if not arguments.trusts_none:
        raise NotSupported("--disable-content-trust=false: not supported: no image is signed so")
    if arguments.auto_remove and arguments.limits.restart not in ("", "no"):
        raise FlagError("conflicting options: cannot specify both --restart and --rm")
    if not -1 <= arguments.memory_swappiness <= 100:
        raise FlagError(
            f"invalid value: {arguments.memory_swappiness}. Valid memory swappiness range is 0-100"
        )


def _check_modes(arguments: CreateArguments) -> None:
    """Namespaces that no engine knows are refused before an image is pulled."""
    for option, value, known in (
        ("pid", arguments.pid, ("", "host")),
        ("uts", arguments.uts, ("", "host")),
        ("userns", arguments.userns, ("", "host")),
        ("cgroupns", arguments.cgroupns, ("", "host", "private")),
    ):
        kind, _, name = value.partition(":")
        if value not in known and not (option == "pid" and kind == "container" and name):
            what = _MODES.get(option, option.upper())
            raise FlagError(f"--{option}: invalid {what} mode")


def _without_nothing(values: Mapping[str, Any]) -> Json:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v}


def attached_streams(arguments: CreateArguments) -> dict[str, bool]:
    """Which of stdin, stdout and stderr: those of `--attach`, else the output; stdin with -i."""
    given = [text.lower() for text in arguments.attach]
    for text in given:
        if text not in _STREAMS:
            raise FlagError(
                f'invalid argument "{text}" for "-a, --attach" flag:'
                " valid streams are STDIN, STDOUT and STDERR"
            )
    found = {name: name in given for name in _STREAMS}
    if not given:
        found |= {"stdout": True, "stderr": True}
    return found | ({"stdin": True} if arguments.interactive else {})


def _config(arguments: CreateArguments) -> Json:
    streams = attached_streams(arguments)
    ports = networking.exposed_ports(arguments.expose)
    published = networking.port_bindings(arguments.publish)
    config: Json = {
        "Image": arguments.image,
        "Cmd": arguments.command,
        "Hostname": arguments.hostname,
        "Domainname": arguments.domainname,
        "User": arguments.user,
        "Tty": arguments.tty,
        "OpenStdin": arguments.interactive,
        "StdinOnce": arguments.interactive and streams["stdin"],
        "AttachStdin": streams["stdin"],
        "AttachStdout": streams["stdout"],
        "AttachStderr": streams["stderr"],
        "Env": values.environment(arguments.environment, arguments.env_files),
        "ExposedPorts": {key: {} for key in (*published, *ports)},
        "Volumes": mounts.binds(arguments.volumes)[1],
        "WorkingDir": arguments.working_dir,
        "Labels": values.labels(arguments.labels, arguments.label_files),
        "StopSignal": arguments.stop_signal,
        "Healthcheck": _healthcheck(arguments),
    }
    found = _without_nothing(config)
    if arguments.stop_timeout is not None:
        found["StopTimeout"] = arguments.stop_timeout
    if arguments.entrypoint is not None:
        found["Entrypoint"] = [arguments.entrypoint]
    return found


def _healthcheck(arguments: CreateArguments) -> Json:
    command = arguments.health_cmd
    found = {
        "Test": ["CMD-SHELL", command] if command else [],
        "Retries": arguments.health_retries,
    } | {
        key: values.nanoseconds(option, text)
        for key, option, text in (
            ("Interval", "--health-interval", arguments.health_interval),
            ("Timeout", "--health-timeout", arguments.health_timeout),
            ("StartPeriod", "--health-start-period", arguments.health_start_period),
            ("StartInterval", "--health-start-interval", arguments.health_start_interval),
        )
    }
    given = _without_nothing(found)
    if arguments.health_retries < 0:
        raise FlagError("--health-retries cannot be negative")
    if arguments.no_healthcheck and given:
        raise FlagError("--no-healthcheck conflicts with --health-* options")
    return {"Test": ["NONE"]} if arguments.no_healthcheck else given


def _host_config(arguments: CreateArguments) -> Json:
    host: Json = {api: getattr(arguments, name) for name, api in _SAME.items()}
    named = [text for text in arguments.devices if mounts.is_cdi(text)]
    host |= {
        "Binds": mounts.binds(arguments.volumes)[0],
        "Mounts": [mounts.mount(text) for text in arguments.mounts],
        "Tmpfs": mounts.tmpfs(arguments.tmpfs),
        "Devices": [mounts.device(text) for text in arguments.devices if text not in named],
        "DeviceRequests": [gpu_request(text) for text in arguments.gpus]
        + ([{"Driver": "cdi", "DeviceIDs": named}] if named else []),
        "PortBindings": networking.port_bindings(arguments.publish),
        "Dns": [values.address("--dns", text) for text in arguments.dns],
        "DnsSearch": arguments.dns_search,
        "ExtraHosts": [values.extra_host(text) for text in arguments.add_host],
        "Annotations": values.pairs("--annotation", arguments.annotations),
        "Sysctls": values.pairs("--sysctl", arguments.sysctls),
        "StorageOpt": values.pairs("--storage-opt", arguments.storage_opts, needs_value=True),
        "LogConfig": _logging(arguments),
        "ShmSize": values.size_bytes("--shm-size", arguments.shm_size),
        "SecurityOpt": _security(arguments.security_opts),
    }
    added = values.capabilities(arguments.cap_add)
    dropped = values.capabilities(arguments.cap_drop) - added
    return host | _limits(arguments) | {"CapAdd": sorted(added), "CapDrop": sorted(dropped)}


def _exactly(arguments: CreateArguments) -> Json:
    """What is sent also where it is false, 0 or empty: that says more than nothing."""
    found: Json = {}
    if arguments.init is not None:
        found["Init"] = arguments.init
    if arguments.memory_swappiness != -1:
        found["MemorySwappiness"] = arguments.memory_swappiness
    if _ALL_SHOWN in arguments.security_opts:
        found |= {"MaskedPaths": [], "ReadonlyPaths": []}
    return found


def _logging(arguments: CreateArguments) -> Json:
    if arguments.log_driver == "none" and arguments.log_opts:
        raise FlagError("invalid logging opts for driver none")
    options = values.pairs("--log-opt", arguments.log_opts)
    return _without_nothing({"Type": arguments.log_driver, "Config": options})


def _limits(arguments: CreateArguments) -> Json:
    for rule in arguments.device_cgroup_rules:
        if not _CGROUP_RULE.fullmatch(rule):
            raise FlagError(f"invalid device cgroup format '{rule}'")
    return {
        **arguments.limits.body(),
        "Ulimits": sorted(map(values.ulimit, arguments.ulimits), key=lambda each: each["Name"]),
        "DeviceCgroupRules": arguments.device_cgroup_rules,
        "BlkioWeightDevice": [values.blkio_weight(t) for t in arguments.blkio_weight_device],
        **_rates(arguments),
    }


def _rates(arguments: CreateArguments) -> Json:
    found = {}
    for verb in ("Read", "Write"):
        for unit, is_bytes in (("Bps", True), ("IOps", False)):
            name = f"device_{verb}_{unit}".lower()
            option = "--" + name.replace("_", "-")
            found[f"BlkioDevice{verb}{unit}"] = [
                values.rate(option, text, is_bytes=is_bytes) for text in getattr(arguments, name)
            ]
    return found


def _security(texts: Sequence[str]) -> list[str]:
    """A profile of seccomp is sent whole; `systempaths=unconfined` is told in another way."""
    found = []
    for text in texts:
        separator = "=" if "=" in text or text == "no-new-privileges" else ":"
        key, _, value = text.partition(separator)
        if key != "no-new-privileges" and not value:
            raise FlagError(f'invalid --security-opt: "{text}"')
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            found.append(f"seccomp={_profile(value)}")
        elif text != _ALL_SHOWN:
            found.append(text)
    return found


def _profile(path: str) -> str:
    try:
        return json.dumps(json.loads(Path(path).read_text()), separators=(",", ":"))
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise FlagError(f"opening seccomp profile ({path}) failed: {why}") from error


def gpu_request(text: str) -> Json:
    """`all`, `2`, `"device=0,1"`, `driver=nvidia,capabilities=compute`."""
    found: Json = {}
    for part in mounts.csv_fields(text):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = "count", part
        if key in found:
            raise FlagError(f"gpu request key '{key}' can be specified only once")
        if key not in ("driver", "count", "device", "capabilities", "options"):
            raise FlagError(f"unexpected key '{key}' in '{part}'")
        found[key] = value
    count = found.get("count", "" if "device" in found else "1")
    number = -1 if count == "all" else values.integer(count or "0")
    if number is None:
        raise FlagError(
            f'invalid count ({count}): value must be either "all" or an integer: invalid syntax'
        )
    capabilities = found.get("capabilities")
    return _without_nothing(
        {
            "Driver": found.get("driver", ""),
            "Count": number,
            "DeviceIDs": found["device"].split(",") if "device" in found else [],
            "Capabilities": [[*capabilities.split(","), "gpu"] if capabilities else ["gpu"]],
            "Options": values.pairs("--gpus", mounts.csv_fields(found.get("options", ""))),
        }
    )
