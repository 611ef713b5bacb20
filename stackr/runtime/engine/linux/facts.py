"""Facts of the host that `/info` and `/version` show; each is read when it is asked for."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from stackr.runtime.architecture import go_architecture
from stackr.runtime.engine.linux import cgroup

__all__ = ["HostFacts", "host_facts"]


@dataclass(frozen=True, slots=True)
class HostFacts:
    """memory_bytes: of the whole host; architecture: the kernel's word, go_architecture: Go's;
    lacks_controllers: see `cgroup.Hierarchy.lacks`.
    """

    name: str
    kernel: str
    build_time: str
    architecture: str
    operating_system: str
    os_version: str
    cpus: int
    memory_bytes: int
    cgroup_version: str
    lacks_controllers: frozenset[str]
    has_apparmor: bool

    @property
    def go_architecture(self) -> str:
        return go_architecture(self.architecture)


def host_facts() -> HostFacts:
    kernel = os.uname()
    groups = cgroup.detect()
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return HostFacts(
        name=kernel.nodename,
        kernel=kernel.release,
        build_time=kernel.version,
        architecture=kernel.machine,
        operating_system=release.get("PRETTY_NAME", "Linux"),
        os_version=release.get("VERSION_ID", ""),
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cgroup_version="2" if groups.is_v2 else "1",
        lacks_controllers=groups.lacks,
        has_apparmor=has_apparmor(),
    )


def has_apparmor() -> bool:
    """Whether the kernel confines programs by AppArmor's profiles."""
    try:
        return Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
    except OSError:
        return False
