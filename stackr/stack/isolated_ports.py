"""Host ports for an isolated copy: those that it has already, and those that others have."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from stackr.errors import Conflict
from stackr.planner.desired.isolated import PortKey, kept_ports
from stackr.runtime import labels
from stackr.runtime.folders import is_gone
from stackr.runtime.types import ContainerState
from stackr.spec.model.project import Isolated

__all__ = ["Ports", "not_ours", "ports_among"]

_IN_USE = (errno.EADDRINUSE, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Ports:
    """kept: the copy's own. taken: (port, protocol) of others. is_here: this host's ports count.

    is_cluster: ports of mode `host` are on nodes that nobody knows before.
    """

    kept: Mapping[PortKey, tuple[int, int]]
    taken: frozenset[tuple[int, str]]
    is_here: bool
    is_cluster: bool = False

    def is_free(self, port: int, protocol: str, host_ip: str) -> bool:
        if (port, protocol) in self.taken:
            return False
        return not self.is_here or _can_bind(port, protocol, host_ip)


def ports_among(
    containers: Sequence[ContainerState], isolated: Isolated, *, is_here: bool
) -> Ports:
    """What the containers of an engine say of the ports of a copy.

    Raises Conflict where the copy's project is another's: of another folder, or not isolated.
    """
    own = [c for c in containers if c.labels.get(labels.PROJECT) == isolated.project]
    others = [c for c in containers if c.labels.get(labels.PROJECT) != isolated.project]
    for container in own:
        _check_own(container, isolated)
    taken = {(p.host_port, p.protocol) for c in others for p in c.ports if p.host_port}
    for container in others:
        if labels.ISOLATED in container.labels:  # it comes back to its ports
            for key, (first, last) in _spec_ports(container).items():
                taken |= {(number, key[2]) for number in range(first, last + 1)}
    found = Ports({}, frozenset(taken), is_here)
    kept: dict[PortKey, tuple[int, int]] = {}
    for container in sorted(own, key=lambda c: c.is_running):
        for key, held in _spec_ports(container).items():
            numbers = range(held[0], held[1] + 1)
            if container.is_running or all(found.is_free(n, key[2], key[3]) for n in numbers):
                kept[key] = held
    return replace(found, kept=kept)


def _check_own(container: ContainerState, isolated: Isolated) -> None:
    folder = container.labels.get(labels.FOLDER, "")
    if labels.ISOLATED not in container.labels:
        raise not_ours(isolated)
    if folder != isolated.folder and not is_gone(folder):
        raise not_ours(isolated, folder)


def not_ours(isolated: Isolated, owner: str = "") -> Conflict:
    """owner: the folder that has the copy; "" for a project that is none."""
    told = f'isolated copy "{isolated.name}" of {isolated.stack}: it is the one of {owner}'
    if not owner:
        told = f'project "{isolated.project}": it is there, and no isolated copy'
    return Conflict(told, hint="choose another name: --isolated=NAME")


def _spec_ports(container: ContainerState) -> dict[PortKey, tuple[int, int]]:
    service = container.labels.get(labels.SERVICE, "")
    return kept_ports(service, container.labels.get(labels.SPEC, ""))


def _can_bind(port: int, protocol: str, host_ip: str) -> bool:
    """Whether nobody has it here. Of an address that is not this host's, the engine tells."""
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    number = socket.IPPROTO_SCTP if protocol == "sctp" else 0
    try:
        with closing(socket.socket(family, kind, number)) as probe:
            if protocol == "tcp":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host_ip, port))
    except OSError as error:
        return error.errno not in _IN_USE
    return True
