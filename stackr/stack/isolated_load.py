"""Load a stack as one folder's own copy: its names, and host ports that nobody else has.

What the engine has of the copy keeps its ports. An engine that does not run has nothing, and is not
started for this.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from stackr.errors import InvalidArgument, NotSupported, PermissionDenied, Unavailable
from stackr.planner.desired.instance import Instance, instance
from stackr.planner.desired.isolated import (
    FixedPort,
    chosen_ports,
    fixed_ports,
    with_host_ports,
)
from stackr.runtime.connect import connect_either
from stackr.runtime.types import ContainerState
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Isolated, Project
from stackr.stack.address import engine_host, is_of_this_machine
from stackr.stack.isolated_ports import Ports, ports_among
from stackr.stack.testenv.variables import Address, Member, reached_from, variables
from stackr.stack.workloads.isolated import ports_on_cluster

__all__ = ["isolated_again", "known_ports", "load_isolated"]

T = TypeVar("T")


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
        told = [port for port in fixed if not (ports.is_cluster and _is_of_a_node(project, port))]
        values, _ = variables(_members(project, told, chosen, engine))
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


def known_ports(isolated: Isolated, engine: str | None) -> Ports:
    """The same of an engine, which is not started where it does not run."""
    return _now(_ports(isolated, engine, is_here=is_of_this_machine(engine)))


async def _ports(isolated: Isolated, engine: str | None, *, is_here: bool) -> Ports:
    try:
        opened = await connect_either(engine, project=isolated.project, read_only=True, start=False)
    except (Unavailable, PermissionDenied, NotSupported):
        # who needs the engine for more says why it is not there
        return ports_among((), isolated, is_here=is_here)
    async with opened as found:
        if isinstance(found, Workloads):
            return await ports_on_cluster(found, isolated, is_here=is_here)
        return ports_among(await found.list_containers(all=True), isolated, is_here=is_here)


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


def _is_of_a_node(project: Project, port: FixedPort) -> bool:
    return project.services[port.service].ports[port.index].mode == "host"


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
