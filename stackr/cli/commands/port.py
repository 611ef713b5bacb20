"""`stackr port`: where on the host a container's port answers."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.spec.short import PORT_PROTOCOLS
from stackr.stack.replica import find_replica
from stackr.stack.workloads.members import members_of

__all__ = ["port"]


def port(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    private_port: Annotated[str, typer.Argument(metavar="PORT")],
    index: Annotated[int, typer.Option("--index", metavar="NUM", help="Which replica")] = 0,
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="NAME", help="tcp, udp or sctp")
    ] = "tcp",
) -> None:
    """Print the public address of a container's port."""
    options = options_of(ctx)
    check_choice("--protocol", protocol, PORT_PROTOCOLS)
    if not (private_port.isascii() and private_port.isdigit() and int(private_port) < 65536):
        raise InvalidArgument(f'"{private_port}" is no port: a number up to 65535 is expected')
    source = source_of(options)
    name = source.name()
    source.check_services((service,))
    with open_session(options) as session:
        wanted = service, index, int(private_port), protocol
        address = session.look(
            lambda runtime: _address(runtime, name, *wanted),
            cluster=OnCluster(name, lambda cluster: _address_on(cluster, name, *wanted)),
        )
        host, _, number = address.rpartition(":")
        shown = json.dumps({"host": host.strip("[]"), "port": int(number)})
        session.out.line(shown if options.json else address)


async def _address(
    runtime: Runtime, project: str, service: str, index: int, number: int, protocol: str
) -> str:
    container = await find_replica(runtime, project, service, index or None)
    for published in container.ports:
        if (published.container_port, published.protocol) == (number, protocol):
            if not published.host_port:
                continue
            host = f"[{published.host_ip}]" if ":" in published.host_ip else published.host_ip
            return f"{host or '0.0.0.0'}:{published.host_port}"
    known = [f"{p.container_port}/{p.protocol}" for p in container.ports if p.host_port]
    raise _no_port(number, protocol, container.name, known)


async def _address_on(
    cluster: Workloads, project: str, service: str, index: int, number: int, protocol: str
) -> str:
    """Of a cluster: at the node of the replica, the first one that runs where none is named."""
    found = await members_of(cluster, project, [service], scheme_of=lambda *port: "")
    members = [each for each in found if index in (0, each.number)]
    if not members:
        which = f'container #{index} of service "{service}"' if index else f'service "{service}"'
        raise NotFound(f"{which} is not running", hint="see stackr ps --all")
    for published in members[0].ports:
        if (published.container_port, published.protocol) == (number, protocol):
            return published.text
    known = [f"{p.container_port}/{p.protocol}" for p in members[0].ports]
    raise _no_port(number, protocol, members[0].name, known)


def _no_port(number: int, protocol: str, container: str, known: list[str]) -> NotFound:
    rest = f": it publishes {', '.join(known) or 'none'}"
    return NotFound(f"no port {number}/{protocol} for container {container}{rest}")
