"""Load a stack as one folder's own copy: its names, and host ports that nobody else has.

What the engine has of the copy keeps its ports. An engine that does not run has nothing, and is not
started for this.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from stackr.errors import Conflict, InvalidArgument, NotSupported, PermissionDenied, Unavailable
from stackr.planner.desired.instance import Instance, instance
from stackr.planner.desired.isolated import (
    FixedPort,
    PortKey,
    chosen_ports,
    fixed_ports,
    kept_ports,
    with_host_ports,
)
from stackr.runtime import labels
from stackr.runtime.connect import connect
from stackr.runtime.folders import is_gone
from stackr.runtime.types import ContainerState
from stackr.spec.model.project import Isolated, Project
from stackr.stack.address import engine_host, is_of_this_machine
from stackr.stack.testenv.variables import Address, Member, reached_from, variables

__all__ = ["Ports", "isolated_again", "known_ports", "load_isolated", "ports_among"]

T = TypeVar("T")
_IN_USE = (errno.EADDRINUSE, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Ports:
    """kept: the copy's own. taken: (port, protocol) of others. is_here: this host's ports count."""

    kept: Mapping[PortKey, tuple[int, int]]
    taken: frozenset[tuple[int, str]]
    is_here: bool

    def is_free(self, port: int, protocol: str, host_ip: str) -> bool:
        if (port, protocol) in self.taken:
            return False
        return not self.is_here or _can_bind(port, protocol, host_ip)


def load_isolated(
    read: Callable[[Mapping[str, str]], Project],
    isolated: Isolated,
    environ: Mapping[str, str],
    engine: str | None,
) -> Project:
    """The copy. read: loads the stack with these variables under the copy's name.

    The stack is read again with the variables that name its host ports, as some programs have to
    be told where they are reached. Raises InvalidProject, Conflict where another folder has a copy
    of this name, and InvalidArgument where what is published depends on those variables.
    """
    project = read(environ)
    fixed = fixed_ports(project)
    ports = known_ports(isolated, engine)
    chosen = chosen_ports(isolated.project, fixed, ports.kept, ports.is_free)
    if chosen:
        values, _ = variables(_members(project, fixed, chosen, engine))
        project = read({**environ, **values})
        if fixed_ports(project) != fixed:
            raise InvalidArgument(
                "the ports that the stack publishes depend on STACKR_ variables of its host ports"
            )
    return isolate(project, isolated, chosen)


def isolate(
    project: Project, isolated: Isolated, chosen: Mapping[tuple[str, int], tuple[int, int]]
) -> Project:
    """The copy of a project that was loaded under its name, with these host ports."""
    copy: Instance = instance(project, isolated.stack, isolated.name, folder=isolated.folder)
    made = with_host_ports(copy.project, chosen)
    return made.model_copy(update={"isolated": replace(isolated, notes=copy.notes)})


def isolated_again(
    project: Project, isolated: Isolated, containers: Sequence[ContainerState]
) -> Project:
    """The copy of what was kept of it, at the ports that its containers have."""
    ports = ports_among(containers, isolated, is_here=False)
    fixed = fixed_ports(project)
    chosen = chosen_ports(isolated.project, fixed, ports.kept, ports.is_free)
    return isolate(project, isolated, chosen)


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


def known_ports(isolated: Isolated, engine: str | None) -> Ports:
    """The same of an engine, which is not started where it does not run."""
    is_here = is_of_this_machine(engine)
    containers = _now(_containers(engine))
    return ports_among(containers, isolated, is_here=is_here)


async def _containers(engine: str | None) -> list[ContainerState]:
    try:
        runtime = await connect(engine, read_only=True, start=False)
    except (Unavailable, PermissionDenied, NotSupported):
        return []  # who needs the engine for more says why it is not there
    async with runtime:
        return list(await runtime.list_containers(all=True))


def _now(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, also within a running event loop, which waits."""
    found: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


def _check_own(container: ContainerState, isolated: Isolated) -> None:
    folder = container.labels.get(labels.FOLDER, "")
    if labels.ISOLATED not in container.labels:
        raise Conflict(
            f'project "{isolated.project}": it is there, and no isolated copy',
            hint="choose another name: --isolated=NAME",
        )
    if folder != isolated.folder and not is_gone(folder):
        raise Conflict(
            f'isolated copy "{isolated.name}" of {isolated.stack}: it is the one of {folder}',
            hint="choose another name: --isolated=NAME",
        )


def _spec_ports(container: ContainerState) -> dict[PortKey, tuple[int, int]]:
    service = container.labels.get(labels.SERVICE, "")
    return kept_ports(service, container.labels.get(labels.SPEC, ""))


def _members(
    project: Project,
    fixed: Sequence[FixedPort],
    chosen: Mapping[tuple[str, int], tuple[int, int]],
    engine: str | None,
) -> list[Member]:
    """The first container of each service, with its ports; of a range, it is not known which."""
    found: dict[str, list[Address]] = {}
    for port in fixed:
        first, last = chosen[port.service, port.index]
        if first == last:
            given = project.services[port.service].ports[port.index]
            address = Address(
                given.target, given.host_ip or "", first, port.key[2], given.app_protocol or ""
            )
            found.setdefault(port.service, []).append(address)
    host = engine_host(engine)
    return [
        Member(service, 1, ports=reached_from(host, addresses))
        for service, addresses in found.items()
    ]


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
