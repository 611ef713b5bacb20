"""What containers can be given on this host: read once, as the engine starts."""

from __future__ import annotations

import platform
import resource
import socket
from dataclasses import dataclass

from stackr.runtime.engine.container import capabilities
from stackr.runtime.engine.container.settings.spec import Ulimit
from stackr.runtime.engine.linux import cgroup
from stackr.runtime.engine.linux.facts import has_apparmor

__all__ = ["Host", "detect"]

_NOFILE_CAP = 1 << 20


@dataclass(frozen=True, slots=True)
class Host:
    """rlimits: RLIMIT_* name -> the hard limit that the engine itself has, -1 for none.

    default_ulimits, seccomp: of containers that do not name them; the second as in
    `SecurityOptions`.
    """

    capabilities: frozenset[str]
    cgroups: cgroup.Hierarchy
    rlimits: dict[str, int]
    machine: str
    hostname: str
    has_apparmor: bool = False
    default_ulimits: tuple[Ulimit, ...] = ()
    seccomp: str = ""

    @property
    def can_raise_rlimits(self) -> bool:
        return "CAP_SYS_RESOURCE" in self.capabilities

    @property
    def default_nofile(self) -> int:
        """Open files of a container that names no limit, whatever shell the engine came from."""
        hard = self.rlimits["RLIMIT_NOFILE"]
        return _NOFILE_CAP if hard < 0 else min(hard, _NOFILE_CAP)


def detect() -> Host:
    """The facts of the host that this process runs on."""
    names = (name for name in dir(resource) if name.startswith("RLIMIT_"))
    return Host(
        capabilities=capabilities.available(),
        cgroups=cgroup.detect(),
        rlimits={name: resource.getrlimit(getattr(resource, name))[1] for name in names},
        machine=platform.machine(),
        hostname=socket.gethostname(),
        has_apparmor=has_apparmor(),
    )
