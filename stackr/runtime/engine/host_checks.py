"""What a host has of all that the engine needs, and how to get the rest: a finding for each.

Reads files and looks for programs; starts none, and changes nothing.
"""

from __future__ import annotations

import ctypes.util
import gzip
import os
import platform
import re
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stackr.errors import StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.linux import cgroup

__all__ = ["Finding", "Machine", "check_host"]

Verdict = Literal["ok", "warning", "missing"]

_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/podman"
_LEAST_KERNEL = (5, 4)
_LEAST_FREE, _FEW_FREE = 1 << 30, 5 << 30
_FEW_FILES = 65_536
_UNFIT = ("overlay", "nfs", "nfs4", "cifs", "fuse", "vfat", "9p", "fuseblk")
"""File systems on which overlayfs cannot keep what containers write. Source: kernel, overlayfs."""


@dataclass(frozen=True, slots=True)
class Finding:
    """subject: what was looked for; found: what is there; remedy: a command or a word of advice."""

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """The host, or a folder that looks like one."""

    root: Path = Path("/")
    release: str = field(default_factory=platform.release)
    which: Callable[[str], str | None] = lambda name: shutil.which(name, path=_SEARCH)
    library: Callable[[str], str | None] = ctypes.util.find_library
    uid: int = field(default_factory=os.geteuid)

    def text(self, path: str) -> str:
        """A file's text; "" where it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(errors="replace")
        except OSError:
            return ""

    def has(self, path: str) -> bool:
        return (self.root / path.lstrip("/")).exists()

    def install(self, package: str) -> str:
        """How this distribution installs a package, by its own name for it."""
        os_release = self.text("/etc/os-release")
        family = " ".join(re.findall(r'^ID(?:_LIKE)?="?([^"\n]*)', os_release, re.M)).split()
        for name, (command, others) in _INSTALLERS.items():
            if name in family:
                return f"{command} {others.get(package, package)}"
        return f"install the package {package}"


_INSTALLERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "debian": ("apt-get install", {}),
    "fedora": ("dnf install", {"iproute2": "iproute"}),
    "arch": ("pacman -S", {}),
    "alpine": ("apk add", {"tini": "tini-static"}),
    "suse": ("zypper install", {}),
}


def check_host(config: EngineConfig, machine: Machine | None = None) -> list[Finding]:
    """In the order in which they are needed."""
    machine = machine or Machine()
    checks = (
        *(_kernel(machine), _access(config, machine), _options(config), _nftables(machine)),
        *(_runtime(machine), _conmon(machine), _init(machine), _zstd(machine)),
        *(_cgroups(machine), _namespaces(machine), *_modules(machine)),
        *(_files(), _file_system(config, machine), _space(config)),
    )
    return list(checks)


def _kernel(machine: Machine) -> Finding:
    match = re.match(r"(\d+)\.(\d+)", machine.release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version < _LEAST_KERNEL:
        least = ".".join(map(str, _LEAST_KERNEL))
        return Finding("kernel", "missing", f"Linux {machine.release}", f"{least} is the least")
    return Finding("kernel", "ok", f"Linux {machine.release}")


def _access(config: EngineConfig, machine: Machine) -> Finding:
    if machine.uid == 0:
        return Finding("access", "ok", "root")
    if os.access(config.socket, os.W_OK):
        return Finding("access", "ok", f"this user may use {config.socket}")
    remedy = "sudo stackr engine install; then sudo usermod -aG stackr $USER, and log in again"
    return Finding("access", "missing", "this user may neither start nor use the engine", remedy)


def _options(config: EngineConfig) -> Finding:
    if config.file is None:
        return Finding("configuration", "ok", "no file: the usual options")
    try:
        config.read_options()
    except StackrError as error:
        return Finding("configuration", "missing", error.message, error.hint or "correct the file")
    return Finding("configuration", "ok", str(config.file))


def _nftables(machine: Machine) -> Finding:
    library, program = machine.library("nftables"), machine.which("nft")
    if library or program:
        return Finding("nftables", "ok", program or str(library))
    return Finding(
        "nftables", "missing", "neither nft nor its library", machine.install("nftables")
    )


def _runtime(machine: Machine) -> Finding:
    for name in ("crun", "runc"):
        if path := machine.which(name):
            return Finding("OCI runtime", "ok", path)
    return Finding("OCI runtime", "missing", "neither crun nor runc", machine.install("crun"))


def _conmon(machine: Machine) -> Finding:
    return _program(machine, "conmon", "conmon", "missing", "it keeps containers' output")


def _zstd(machine: Machine) -> Finding:
    return _program(machine, "zstd", "zstd", "warning", "layers that are packed so need it")


def _program(machine: Machine, name: str, package: str, verdict: Verdict, purpose: str) -> Finding:
    if path := machine.which(name):
        return Finding(name, "ok", path)
    return Finding(name, verdict, f"not found; {purpose}", machine.install(package))


def _init(machine: Machine) -> Finding:
    names = ("docker-init", "tini-static", "catatonit", "tini")
    if path := next(filter(None, map(machine.which, names)), None):
        return Finding("init", "ok", path)
    found = "not found; `init: true` needs it"
    return Finding("init", "warning", found, machine.install("tini"))


def _cgroups(machine: Machine) -> Finding:
    try:
        mounts = machine.root / "proc/self/mountinfo"
        layout = cgroup.detect(mounts, machine.root / "sys/fs/cgroup")
    except OSError as error:
        return Finding("control groups", "missing", error.strerror or str(error), "mount cgroup2")
    version = "v2" if layout.is_v2 else "v1"
    if not layout.lacks:
        return Finding("control groups", "ok", version)
    lacks = ", ".join(sorted(layout.lacks))
    remedy = "boot with cgroup_enable=memory swapaccount=1" if "memory" in layout.lacks else ""
    found = f"{version}, without {lacks}: these limits are refused"
    return Finding("control groups", "warning", found, remedy or "enable them in the kernel")


def _namespaces(machine: Machine) -> Finding:
    missing = [
        name
        for name in ("mnt", "pid", "net", "ipc", "uts")
        if not machine.has(f"/proc/self/ns/{name}")
    ]
    if missing:
        found = f"no {', '.join(missing)}"
        return Finding("namespaces", "missing", found, "another kernel is needed")
    most = machine.text("/proc/sys/user/max_user_namespaces").strip()
    if most in ("", "0"):
        found = "no user namespaces: programs that make their own sandboxes fail"
        remedy = "sysctl -w user.max_user_namespaces=15000"
        return Finding("namespaces", "warning", found, remedy)
    return Finding("namespaces", "ok", "all, user namespaces too")


_MODULES: Mapping[str, tuple[Verdict, str]] = {
    "overlay": ("missing", "layers of images"),
    "bridge": ("missing", "networks"),
    "veth": ("missing", "networks"),
    "nf_tables": ("missing", "published ports, isolation of networks"),
    "nf_nat": ("missing", "published ports"),
    "sctp": ("warning", "ports of SCTP"),
}
"""What each is for, and how grave it is where it cannot be had."""


def _modules(machine: Machine) -> Iterator[Finding]:
    available = _available(machine)
    for name, (verdict, purpose) in _MODULES.items():
        if state := _module(machine, name, available):
            yield Finding(f"module {name}", "ok", state)
        else:
            remedy = f"modprobe {name}, or a kernel that has it ({_CONFIG[name]})"
            yield Finding(f"module {name}", verdict, f"not there; for {purpose}", remedy)


_CONFIG = {
    "overlay": "CONFIG_OVERLAY_FS",
    "bridge": "CONFIG_BRIDGE",
    "veth": "CONFIG_VETH",
    "nf_tables": "CONFIG_NF_TABLES",
    "nf_nat": "CONFIG_NF_NAT",
    "sctp": "CONFIG_IP_SCTP",
}


def _available(machine: Machine) -> str:
    """The names of all modules that the kernel could load, and those that are built in."""
    folder = f"/lib/modules/{machine.release}"
    return machine.text(f"{folder}/modules.dep") + machine.text(f"{folder}/modules.builtin")


def _module(machine: Machine, name: str, available: str) -> str:
    """How the kernel has it; "" where it has not."""
    if machine.has(f"/sys/module/{name}"):
        return "loaded"
    if name == "overlay" and "\toverlay\n" in machine.text("/proc/filesystems"):
        return "built in"
    if f"={_CONFIG[name]}" in available or f"{_CONFIG[name]}=y" in _kernel_config(machine):
        return "built in"
    if re.search(rf"/{name}\.ko", available):
        return "loaded when it is needed"
    return ""


def _kernel_config(machine: Machine) -> str:
    text = machine.text(f"/boot/config-{machine.release}")
    if text:
        return text
    try:
        with gzip.open(machine.root / "proc/config.gz", "rt") as file:
            return file.read()
    except (OSError, EOFError):
        return ""


def _files() -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < _FEW_FILES:
        remedy = "raise the hard limit: ulimit -Hn 1048576, or LimitNOFILE= of the service"
        return Finding("open files", "warning", f"at most {most}", remedy)
    return Finding("open files", "ok", "no limit" if most < 0 else f"at most {most}")


def _existing(path: Path) -> Path:
    """The folder, or what there is of the way to it."""
    return next(each for each in (path, *path.parents) if each.exists())


def _file_system(config: EngineConfig, machine: Machine) -> Finding:
    place = os.fspath(_existing(config.data_root))
    kind = ""
    for line in machine.text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        target = before.split()[4] if len(before.split()) > 4 else ""
        if place == target or place.startswith(target.rstrip("/") + "/"):
            kind = after.split()[0] if after else kind  # the last one covers those before
    if kind in _UNFIT:
        found = f"{config.data_root} is on {kind}, which cannot hold layers"
        remedy = "choose a data root on ext4, xfs or btrfs: STACKR_DATA_ROOT, or data-root"
        return Finding("file system", "missing", found, remedy)
    return Finding("file system", "ok", f"{config.data_root} is on {kind or 'an unknown one'}")


def _space(config: EngineConfig) -> Finding:
    free = shutil.disk_usage(_existing(config.data_root)).free
    found = f"{free / (1 << 30):.1f} GiB free for {config.data_root}"
    if free < _FEW_FREE:
        verdict: Verdict = "missing" if free < _LEAST_FREE else "warning"
        return Finding("disk", verdict, found, "stackr image prune --build-cache, or a larger disk")
    return Finding("disk", "ok", found)
