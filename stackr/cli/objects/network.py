"""`stackr network`: single networks.

Source: docker/cli, cli/command/network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.command import FlagError
from stackr.cli.objects.container import values
from stackr.cli.objects.container.networking import Attachment, endpoint
from stackr.cli.objects.engine import Call, Json, each, on_engine, path
from stackr.cli.objects.filters import FILTER, filters
from stackr.cli.objects.listing import FORMAT, NO_TRUNC, by_name, short, show_list
from stackr.errors import InvalidArgument, NotFound
from stackr.options import Option

__all__ = ["connect", "create", "disconnect", "go_time", "ls", "rm"]

_COLUMNS = ("ID", "Name", "Driver", "Scope")
_HEADINGS: Mapping[str, str] = {
    "CreatedAt": "CREATED AT",
    "Driver": "DRIVER",
    "ID": "NETWORK ID",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "Name": "NAME",
    "Scope": "SCOPE",
}


@dataclass(frozen=True, slots=True)
class LsArguments:
    """`stackr network ls`."""

    filters: Annotated[tuple[str, ...], FILTER] = ()
    form: Annotated[str, FORMAT] = ""
    no_trunc: Annotated[bool, NO_TRUNC] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show only IDs")] = False


@dataclass(frozen=True, slots=True)
class CreateArguments:
    """`stackr network create`."""

    name: Annotated[str, Argument("NETWORK")]
    attachable: Annotated[
        bool, Option("--attachable", help="Single containers may join it, too")
    ] = False
    aux_addresses: Annotated[
        tuple[str, ...],
        Option("--aux-address", metavar="NAME=IP", help="An address that is taken already"),
    ] = ()
    config_from: Annotated[
        str, Option("--config-from", metavar="NETWORK", help="Copy the settings of this network")
    ] = ""
    config_only: Annotated[bool, Option("--config-only", help="Only a configuration")] = False
    driver: Annotated[str, Option("--driver", "-d", metavar="NAME", help="Its driver")] = "bridge"
    gateways: Annotated[
        tuple[str, ...], Option("--gateway", metavar="IP", help="The subnet's gateway")
    ] = ()
    ingress: Annotated[bool, Option("--ingress", help="The routing mesh of a swarm")] = False
    internal: Annotated[bool, Option("--internal", help="Give it no access to other networks")] = (
        False
    )
    ip_ranges: Annotated[
        tuple[str, ...],
        Option("--ip-range", metavar="CIDR", help="Where containers' addresses are from"),
    ] = ()
    ipam_driver: Annotated[
        str, Option("--ipam-driver", metavar="NAME", help="The driver that assigns addresses")
    ] = "default"
    ipam_options: Annotated[
        tuple[str, ...], Option("--ipam-opt", metavar="KEY=VALUE", help="An option of it")
    ] = ()
    ipv4: Annotated[bool | None, Option("--ipv4/--no-ipv4", help="IPv4 addresses (default)")] = None
    ipv6: Annotated[bool | None, Option("--ipv6/--no-ipv6", help="IPv6 addresses")] = None
    labels: Annotated[
        tuple[str, ...], Option("--label", metavar="KEY[=VALUE]", help="Set a label")
    ] = ()
    options: Annotated[
        tuple[str, ...],
        Option("--opt", "-o", metavar="KEY=VALUE", help="Set an option of the driver"),
    ] = ()
    scope: Annotated[str, Option("--scope", metavar="SCOPE", help="The scope of the network")] = ""
    subnets: Annotated[
        tuple[str, ...], Option("--subnet", metavar="CIDR", help="A range of addresses")
    ] = ()


@dataclass(frozen=True, slots=True)
class RmArguments:
    """`stackr network rm`."""

    names: Annotated[tuple[str, ...], Argument("NETWORK...")]
    force: Annotated[bool, Option("--force", "-f", help="Do not fail if it does not exist")] = False


@dataclass(frozen=True, slots=True)
class ConnectArguments:
    """`stackr network connect`."""

    network: Annotated[str, Argument("NETWORK")]
    container: Annotated[str, Argument("CONTAINER")]
    aliases: Annotated[
        tuple[str, ...], Option("--alias", metavar="NAME", help="A further name in it")
    ] = ()
    driver_opts: Annotated[
        tuple[str, ...],
        Option("--driver-opt", metavar="KEY=VALUE", help="Set an option of the driver"),
    ] = ()
    priority: Annotated[
        int, Option("--gw-priority", metavar="NUM", help="The highest has the gateway")
    ] = 0
    ip: Annotated[str, Option("--ip", metavar="IP", help="Its IPv4 address")] = ""
    ip6: Annotated[str, Option("--ip6", metavar="IP", help="Its IPv6 address")] = ""
    links: Annotated[
        tuple[str, ...], Option("--link", metavar="NAME[:ALIAS]", help="Link to a container")
    ] = ()
    link_local_ips: Annotated[
        tuple[str, ...], Option("--link-local-ip", metavar="IP", help="A link-local address")
    ] = ()


@dataclass(frozen=True, slots=True)
class DisconnectArguments:
    """`stackr network disconnect`."""

    network: Annotated[str, Argument("NETWORK")]
    container: Annotated[str, Argument("CONTAINER")]
    force: Annotated[
        bool, Option("--force", "-f", help="Disconnect even a container that is gone")
    ] = False


@takes(LsArguments)
def ls(ctx: typer.Context, arguments: LsArguments) -> None:
    """List networks."""
    asked = filters(arguments.filters)

    async def work(call: Call) -> None:
        items = await call.get("/networks", filters=asked)
        rows = [_fields(item, whole=arguments.no_trunc) for item in items]
        show_list(
            call,
            by_name(rows),
            form=arguments.form,
            columns=_COLUMNS,
            headings=_HEADINGS,
            quiet="ID" if arguments.quiet else "",
            setting="networksFormat",
            raw={"network_id": "ID", "name": "Name", "driver": "Driver", "scope": "Scope"},
        )

    on_engine(ctx, work, read_only=True)


def _fields(item: Json, *, whole: bool) -> dict[str, Any]:
    labels = item.get("Labels") or {}
    return {
        "CreatedAt": go_time(item.get("Created") or ""),
        "Driver": item.get("Driver") or "",
        "ID": short(item["Id"], whole=whole),
        "IPv4": _flag(item.get("EnableIPv4", False)),
        "IPv6": _flag(item.get("EnableIPv6", False)),
        "Internal": _flag(item.get("Internal", False)),
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
        "Name": item["Name"],
        "Scope": item.get("Scope") or "",
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"


def go_time(text: str) -> str:
    """`2026-01-02T13:23:37.5Z` as Go prints a time, without zeros at the end."""
    day, _, rest = text.partition("T")
    clock, zone = (rest[:-1], "+0000 UTC") if rest.endswith("Z") else (rest[:-6], rest[-6:])
    if zone != "+0000 UTC":
        zone = f"{zone.replace(':', '')} {zone.replace(':', '')}"
    if "." in clock:
        clock = clock.rstrip("0").rstrip(".")
    return f"{day} {clock} {zone}" if rest else text


@takes(CreateArguments)
def create(ctx: typer.Context, arguments: CreateArguments) -> None:
    """Make a network, and print its ID."""
    body = _body(arguments)

    async def work(call: Call) -> None:
        answer = await call.post("/networks/create", body)
        if answer.get("Warning"):
            call.error_line(f"WARNING: {answer['Warning']}")
        call.line(answer["Id"])

    on_engine(ctx, work)


def _body(arguments: CreateArguments) -> Json:
    body: Json = {
        "Name": arguments.name,
        "Driver": arguments.driver,
        "Attachable": arguments.attachable,
        "ConfigOnly": arguments.config_only,
        "Ingress": arguments.ingress,
        "Internal": arguments.internal,
        "Scope": arguments.scope,
        "Labels": values.label_map(arguments.labels),
        "Options": values.pairs("--opt", arguments.options),
        "IPAM": {
            "Driver": arguments.ipam_driver,
            "Config": _pools(arguments),
            "Options": values.pairs("--ipam-opt", arguments.ipam_options),
        },
    }
    if arguments.config_from:
        body["ConfigFrom"] = {"Network": arguments.config_from}
    for name, value in (("EnableIPv4", arguments.ipv4), ("EnableIPv6", arguments.ipv6)):
        if value is not None:
            body[name] = value
    return body


def _pools(arguments: CreateArguments) -> list[Json]:
    """A range, a gateway and an address belong to the subnet that they are in."""
    if len(arguments.subnets) < max(len(arguments.ip_ranges), len(arguments.gateways)):
        what = "ip-range" if len(arguments.ip_ranges) > len(arguments.subnets) else "gateway"
        raise InvalidArgument(f"every {what} must have a corresponding subnet")
    pools: dict[str, Json] = {}
    for text in arguments.subnets:
        if any(_network("--subnet", text).overlaps(_network("--subnet", own)) for own in pools):
            raise InvalidArgument("multiple overlapping subnet configuration is not supported")
        pools[text] = {"Subnet": text}
    for text in arguments.ip_ranges:
        _put(_pool_of(pools, "ip-range", text.partition("/")[0], text), "IPRange", text)
    for text in arguments.gateways:
        _put(_pool_of(pools, "gateway", text, text), "Gateway", text)
    for name, text in values.pairs("--aux-address", arguments.aux_addresses).items():
        pool = _pool_of(pools, "aux-address", text, text)
        pool.setdefault("AuxiliaryAddresses", {})[name] = text
    return list(pools.values())


def _network(option: str, text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise FlagError(f"{option}: invalid CIDR address: {text}") from None


def _pool_of(pools: Mapping[str, Json], what: str, address: str, text: str) -> Json:
    try:
        wanted = ip_address(address)
    except ValueError:
        raise InvalidArgument(f"invalid {what}: {text}") from None
    for subnet, pool in pools.items():
        if wanted in _network("--subnet", subnet):
            return pool
    raise InvalidArgument(f"no matching subnet for {what} {text}")


def _put(pool: Json, key: str, text: str) -> None:
    if key in pool:
        what = {"IPRange": "range", "Gateway": "gateway"}[key]
        raise InvalidArgument(
            f"cannot configure multiple {what}s ({text}, {pool[key]})"
            f" on the same subnet ({pool['Subnet']})"
        )
    pool[key] = text


@takes(RmArguments)
def rm(ctx: typer.Context, arguments: RmArguments) -> int:
    """Remove networks."""

    async def work(call: Call, name: str) -> object:
        try:
            await call.delete(path("networks", name))
        except NotFound:
            if not arguments.force:
                raise
            return False
        return None

    async def begin(call: Call) -> int:
        return await each(call, arguments.names, lambda name: work(call, name), at_once=False)

    return on_engine(ctx, begin)


@takes(ConnectArguments)
def connect(ctx: typer.Context, arguments: ConnectArguments) -> None:
    """Let a container join a network."""
    attachment = Attachment(
        arguments.network,
        arguments.aliases,
        arguments.links,
        ipv4=values.address("--ip", arguments.ip) if arguments.ip else "",
        ipv6=values.address("--ip6", arguments.ip6) if arguments.ip6 else "",
        link_local=_addresses(arguments.link_local_ips),
        driver_opts=values.pairs("--driver-opt", arguments.driver_opts, needs_value=True),
        priority=arguments.priority,
    )
    body = {"Container": arguments.container, "EndpointConfig": endpoint(attachment)}

    async def work(call: Call) -> None:
        await call.post(path("networks", arguments.network, "connect"), body)

    on_engine(ctx, work)


def _addresses(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(values.address("--link-local-ip", text) for text in texts)


@takes(DisconnectArguments)
def disconnect(ctx: typer.Context, arguments: DisconnectArguments) -> None:
    """Let a container leave a network."""
    body = {"Container": arguments.container, "Force": arguments.force}

    async def work(call: Call) -> None:
        await call.post(path("networks", arguments.network, "disconnect"), body)

    on_engine(ctx, work)
