"""A container's record to the OCI runtime's `config.json`; pure, and the only place with its keys.

Source: OCI runtime-spec config.md and config-linux.md; the defaults are Docker's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container import capabilities
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.limits import resources as limits
from stackr.runtime.engine.container.oci import devices, seccomp
from stackr.runtime.engine.container.oci.security import SecurityOptions, parse_security_options
from stackr.runtime.engine.container.oci.user import ProcessUser
from stackr.runtime.engine.container.records.record import Container, MountPoint
from stackr.runtime.engine.container.settings.spec import HostConfig

__all__ = [
    "MASKED_PATHS",
    "READONLY_PATHS",
    "Surroundings",
    "bundle_config",
    "exec_process",
    "hostname_of",
    "with_cgroup_namespace",
]

MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHM_SIZE = 64 << 20
_INIT_TARGET = "/sbin/docker-init"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the record does not say of a start.

    rootfs: absolute path. files: target in the container -> file on the host, for /etc/hosts and
    its like. mounted: target -> where an image, or a part of one or of a volume, is mounted
    already. tmpfs_modes: target -> permissions of the root of a tmpfs. namespaces: kind -> path of
    another container's namespace to join. shm: where that container's /dev/shm is mounted already.
    links: environment of the containers that it is linked to. init: a program of the host that
    becomes process 1. "" for none.
    """

    host: Host
    user: ProcessUser
    rootfs: str
    cgroup: str
    files: Mapping[str, str] = field(default_factory=dict)
    mounted: Mapping[str, str] = field(default_factory=dict)
    tmpfs_modes: Mapping[str, int] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)
    shm: str = ""
    links: Sequence[str] = ()
    init: str = ""


def bundle_config(container: Container, around: Surroundings) -> dict[str, Any]:
    """The whole `config.json`. Raises InvalidArgument for settings that the host cannot give."""
    host_config = container.host_config
    security = parse_security_options(host_config.security_opt)
    caps = capabilities.effective(
        add=host_config.cap_add,
        drop=host_config.cap_drop,
        privileged=host_config.privileged,
        host=around.host.capabilities,
    )
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(container, around, caps, security),
        "root": {"path": around.rootfs, "readonly": host_config.readonly_rootfs},
        "mounts": _mounts(container, around),
        "linux": _linux(container, around, caps, security),
    }
    if host_config.uts_mode != "host":
        config["hostname"] = hostname_of(container, around.host)
    if host_config.annotations:
        config["annotations"] = dict(host_config.annotations)
    return config


def hostname_of(container: Container, host: Host) -> str:
    """As its programs see it."""
    if container.config.hostname or container.host_config.network_mode != "host":
        return container.hostname
    return host.hostname


def _process(
    container: Container, around: Surroundings, caps: list[str], security: SecurityOptions
) -> dict[str, Any]:
    command = container.command
    if around.init:
        command = [_INIT_TARGET, "--", *command]
    process: dict[str, Any] = {
        "terminal": container.config.tty,
        "user": _user(around.user),
        "args": command,
        "env": environment(
            container,
            around.user,
            hostname=hostname_of(container, around.host),
            links=around.links,
        ),
        "cwd": container.config.working_dir or "/",
        "capabilities": _capability_sets(caps, around.user),
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": container.host_config.oom_score_adj,
        "rlimits": limits.rlimits(container.host_config.ulimits, around.host),
    }
    height, width = (*container.host_config.console_size, 0, 0)[:2]
    if container.config.tty and height and width:
        process["consoleSize"] = {"height": height, "width": width}
    if security.apparmor and around.host.has_apparmor:  # passed over elsewhere, as dockerd does
        process["apparmorProfile"] = security.apparmor
    return process


def _user(user: ProcessUser) -> dict[str, Any]:
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}


def _capability_sets(caps: Sequence[str], user: ProcessUser) -> dict[str, list[str]]:
    """Only root starts with capabilities; the bounding set is what a setuid program gets."""
    held = list(caps) if user.uid == 0 else []
    return {"bounding": list(caps), "effective": held, "permitted": held}


def environment(
    container: Container, user: ProcessUser, *, hostname: str, links: Sequence[str] = ()
) -> list[str]:
    """Docker's own variables first, then the container's, of which the last one counts.

    An entry without "=" takes the variable out.
    """
    defaults = [_PATH, f"HOSTNAME={hostname}", *(["TERM=xterm"] if container.config.tty else [])]
    variables = _variables((*defaults, *links, *container.config.env))
    variables.setdefault("HOME", user.home)
    return [f"{name}={value}" for name, value in variables.items()]


def _variables(entries: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        name, is_set, value = entry.partition("=")
        if is_set:
            found[name] = value
        else:
            found.pop(name, None)
    return found


def exec_process(
    container: Container,
    around: Surroundings,
    *,
    command: Sequence[str],
    env: Sequence[str],
    working_dir: str,
    tty: bool,
    privileged: bool,
    size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """The `process.json` of one more process in a running container.

    size: height and width of its terminal, which the program may ask for at once.
    """
    security = parse_security_options(container.host_config.security_opt)
    caps = capabilities.effective(
        add=container.host_config.cap_add,
        drop=container.host_config.cap_drop,
        privileged=container.host_config.privileged or privileged,
        host=around.host.capabilities,
    )
    base = environment(
        container,
        around.user,
        hostname=hostname_of(container, around.host),
        links=around.links,
    )
    variables = _variables((*base, *env))
    if tty:
        variables.setdefault("TERM", "xterm")
    process = {
        "terminal": tty,
        "user": _user(around.user),
        "args": list(command),
        "env": [f"{name}={value}" for name, value in variables.items()],
        "cwd": working_dir or container.config.working_dir or "/",
        "capabilities": _capability_sets(caps, around.user),
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": container.host_config.oom_score_adj,
        "rlimits": limits.rlimits(container.host_config.ulimits, around.host),
    }
    if tty and size and all(size):
        process["consoleSize"] = {"height": size[0], "width": size[1]}
    if security.apparmor and around.host.has_apparmor:
        process["apparmorProfile"] = security.apparmor
    return process


def _mount(target: str, fstype: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": fstype, "source": source, "options": list(options)}


def _mounts(container: Container, around: Surroundings) -> list[dict[str, Any]]:
    taken = {mount.destination for mount in container.mounts}
    mounts = [m for m in _default_mounts(container, around) if m["destination"] not in taken]
    access = ["ro"] if container.host_config.readonly_rootfs else []
    mounts += [
        _mount(target, "bind", source, "rbind", "rprivate", *access)
        for target, source in around.files.items()
        if target not in taken
    ]
    mounts += [_user_mount(mount, around) for mount in container.mounts]
    if around.init:
        mounts.append(_mount(_INIT_TARGET, "bind", around.init, "bind", "ro", "rprivate"))
    return mounts


def _default_mounts(container: Container, around: Surroundings) -> Iterable[dict[str, Any]]:
    host_config = container.host_config
    access = "rw" if host_config.privileged else "ro"
    guarded = ("nosuid", "noexec", "nodev")
    yield _mount("/proc", "proc", "proc", *guarded)
    yield _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k")
    pty = ("newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    yield _mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", *pty)
    sys_access = "ro" if host_config.readonly_rootfs else access
    yield _mount("/sys", "sysfs", "sysfs", *guarded, sys_access)
    yield _cgroup_mount(container, around, access, *guarded)
    if host_config.ipc_mode == "host":
        if os.path.isdir("/dev/mqueue"):
            yield _mount("/dev/mqueue", "bind", "/dev/mqueue", "rbind", *guarded)
        yield _mount("/dev/shm", "bind", "/dev/shm", "rbind", *guarded)
        return
    yield _mount("/dev/mqueue", "mqueue", "mqueue", *guarded)
    if around.shm:
        yield _mount("/dev/shm", "bind", around.shm, "rbind", *guarded)
        return
    if host_config.ipc_mode != "none":
        size = host_config.shm_size or _SHM_SIZE
        yield _mount("/dev/shm", "tmpfs", "shm", *guarded, "mode=1777", f"size={size}")


def _cgroup_mount(container: Container, around: Surroundings, *options: str) -> dict[str, Any]:
    """v2 has one set of mount options, the host's own (`nsdelegate`), which a further mount in the
    host's namespace would replace: there, the host's mount is bound.
    """
    target = "/sys/fs/cgroup"
    if around.host.cgroups.is_v2 and _cgroup_mode(container, around) == "host":
        source = str(around.host.cgroups.root)
        return _mount(target, "bind", source, "rbind", "rprivate", *options)
    return _mount(target, "cgroup", "cgroup", *options)


def _user_mount(mount: MountPoint, around: Surroundings) -> dict[str, Any]:
    if mount.type == "tmpfs":
        mode = around.tmpfs_modes.get(mount.destination)
        options = [option for option in mount.options if not option.startswith("mode=")]
        options += [] if mode is None else [f"mode={mode:o}"]
        return _mount(mount.destination, "tmpfs", "tmpfs", *options)
    source = around.mounted.get(mount.destination, mount.source)
    if mount.type == "image":
        return _mount(mount.destination, "bind", source, "bind", "ro", "rprivate")
    options = ["rbind" if mount.recursive else "bind"]
    options += mount.options if mount.device else ()  # bound again, it would lose its own
    if not mount.rw:
        # A file holds no further mounts, and crun 1.8 takes "rro" for folders alone. What is
        # mounted already is read-only below, too.
        below = mount.recursive and mount.readonly_recursive and source == mount.source
        options.append("rro" if below and not os.path.isfile(source) else "ro")
    options.append(mount.propagation or "rprivate")
    return _mount(mount.destination, "bind", source, *options)


def _linux(
    container: Container, around: Surroundings, caps: list[str], security: SecurityOptions
) -> dict[str, Any]:
    host_config = container.host_config
    privileged = host_config.privileged
    nodes, rules = devices.mapped_devices(host_config.devices)
    if privileged:
        nodes, rules = devices.host_devices(), list(devices.ALLOW_ALL)
    else:
        extra = devices.parse_rules(host_config.device_cgroup_rules)
        rules = [*devices.DEFAULT_RULES, *rules, *extra]
    linux: dict[str, Any] = {
        "cgroupsPath": around.cgroup,
        "namespaces": _namespaces(container, around),
        "devices": nodes,
        "resources": {
            "devices": rules,
            **limits.resources(
                host_config,
                around.host.cgroups,
                oom_kill_disable=host_config.oom_kill_disable,
            ),
        },
        "sysctl": _sysctls(container),
        "maskedPaths": _paths(host_config.masked_paths, MASKED_PATHS, privileged),
        "readonlyPaths": _paths(host_config.readonly_paths, READONLY_PATHS, privileged),
    }
    propagations = {mount.propagation for mount in container.mounts}
    if propagations & {"shared", "rshared"}:
        linux["rootfsPropagation"] = "rshared"
    elif propagations & {"slave", "rslave"}:
        linux["rootfsPropagation"] = "rslave"
    profile = _seccomp(security.seccomp, around.host.seccomp, caps, privileged)
    if profile is not None:
        linux["seccomp"] = profile
    return linux


def _paths(given: list[str] | None, default: Sequence[str], privileged: bool) -> list[str]:
    if given is not None:
        return given
    return [] if privileged else list(default)


def _seccomp(own: str, default: str, caps: list[str], privileged: bool) -> dict[str, Any] | None:
    """own: the container's. default: of those that have none, and are not privileged."""
    if privileged and own in ("", "builtin"):
        return None
    wanted = own or default
    if wanted == "unconfined":
        return None
    if wanted in ("", "builtin"):
        return seccomp.default_profile(caps)
    return seccomp.custom_profile(wanted, caps)


def _namespaces(container: Container, around: Surroundings) -> list[dict[str, str]]:
    host_config = container.host_config
    modes = {
        "pid": host_config.pid_mode,
        "network": host_config.network_mode,
        "ipc": host_config.ipc_mode,
        "uts": host_config.uts_mode,
        "cgroup": _cgroup_mode(container, around),
    }
    namespaces = [{"type": "mount"}]
    for kind, mode in modes.items():
        if mode == "host":
            continue
        joined = around.namespaces.get(kind)
        namespaces.append({"type": kind, **({"path": joined} if joined else {})})
    return namespaces


def _cgroup_mode(container: Container, around: Surroundings) -> str:
    """Docker's default: a namespace of its own on v2 hosts, also of a privileged container."""
    if container.host_config.cgroupns_mode:
        return container.host_config.cgroupns_mode
    return "private" if around.host.cgroups.is_v2 else "host"


def with_cgroup_namespace(host_config: HostConfig, host: Host) -> HostConfig:
    """With the host's default, where none is said."""
    if host_config.cgroupns_mode:
        return host_config
    mode = "private" if host.cgroups.is_v2 else "host"
    return host_config.model_copy(update={"cgroupns_mode": mode})


def _sysctls(container: Container) -> dict[str, str]:
    host_config = container.host_config
    sysctls: dict[str, str] = {}
    if host_config.network_mode != "host" and not host_config.network_mode.startswith("container:"):
        sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
        sysctls["net.ipv4.ping_group_range"] = "0 2147483647"
    elif any(name.startswith("net.") for name in host_config.sysctls):
        name = next(name for name in host_config.sysctls if name.startswith("net."))
        raise InvalidArgument(
            f'sysctl "{name}" not allowed in network mode {host_config.network_mode}'
        )
    if container.config.domainname and host_config.uts_mode != "host":
        sysctls["kernel.domainname"] = container.config.domainname
    return sysctls | host_config.sysctls
