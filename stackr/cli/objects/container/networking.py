"""`--network`, `--publish` and their kin as the Engine API takes them.

Source: docker/cli, opts/network.go; cli/command/container/opts.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stackr.cli.objects.command import FlagError
from stackr.cli.objects.container.mounts import csv_fields
from stackr.cli.objects.container.options import CreateArguments
from stackr.cli.objects.container.values import address, integer
from stackr.spec.short import parse_port

__all__ = [
    "Attachment",
    "endpoint",
    "endpoints",
    "exposed_ports",
    "is_user_defined",
    "port_bindings",
]

Json = dict[str, Any]
_LONG = re.compile(r"\w+=\w+(,\w+=\w+)*")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_EXPOSED = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?(?:/(tcp|udp|sctp))?", re.ASCII | re.IGNORECASE)
_MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Attachment:
    """One network of a container."""

    target: str = "default"
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    link_local: tuple[str, ...] = ()
    driver_opts: dict[str, str] = field(default_factory=dict)
    priority: int = 0


def is_user_defined(mode: str) -> bool:
    plain = ("default", "bridge", "host", "none")
    return mode not in plain and not mode.startswith("container:")


def endpoints(arguments: CreateArguments) -> tuple[str, dict[str, Json]]:
    """The network mode, and the settings in each network; the options are for the first."""
    asked = [_attachment(text) for text in arguments.networks] or [Attachment()]
    asked[0] = _with_options(asked[0], arguments)
    kinds = {is_user_defined(each.target) for each in asked}
    if len(kinds) > 1:
        raise FlagError(
            "conflicting options: cannot attach both user-defined and non-user-defined"
            " network-modes"
        )
    found: dict[str, Json] = {}
    for each in asked:
        if each.target in found:
            raise FlagError(f'network "{each.target}" is specified multiple times')
        found[each.target] = endpoint(each)
    if len(asked) == 1 and not found[asked[0].target]:
        found = {}
    return asked[0].target, found


def _attachment(text: str) -> Attachment:
    if not _LONG.search(text):
        return Attachment(text)
    found = Attachment("")
    for part in csv_fields(text):
        key, equals, value = (word.strip() for word in part.lower().partition("="))
        if not equals or not key:
            raise FlagError(f'invalid argument "{text}" for "--network" flag: invalid field {part}')
        found = _with_field(found, key, value, text)
    if not found.target:
        raise FlagError(
            f'invalid argument "{text}" for "--network" flag: network name/id is not specified'
        )
    return found


def _with_field(found: Attachment, key: str, value: str, text: str) -> Attachment:
    match key:
        case "name":
            return replace(found, target=value)
        case "alias":
            return replace(found, aliases=(*found.aliases, value))
        case "mac-address":
            return replace(found, mac=value)
        case "driver-opt":
            name, equals, setting = value.partition("=")
            if not equals or not name:
                raise FlagError("invalid key value pair format in driver options")
            return replace(found, driver_opts={**found.driver_opts, name: setting})
        case "gw-priority":
            priority = integer(value)
            if priority is None:
                raise FlagError(f"invalid gw-priority ({value}): invalid syntax")
            return replace(found, priority=priority)
        case _:
            return _with_address(found, key, value, text)


def _with_address(found: Attachment, key: str, value: str, text: str) -> Attachment:
    match key:
        case "ip":
            return replace(found, ipv4=address("--network", value))
        case "ip6":
            return replace(found, ipv6=address("--network", value))
        case "link-local-ip":
            return replace(found, link_local=(*found.link_local, address("--network", value)))
        case _:
            raise FlagError(
                f'invalid argument "{text}" for "--network" flag: invalid field key {key}'
            )


def _with_options(first: Attachment, arguments: CreateArguments) -> Attachment:
    """`--ip` and its kin, which cannot be said twice."""
    given: Json = {
        "aliases": arguments.network_aliases,
        "links": arguments.links if is_user_defined(first.target) else (),
        "ipv4": address("--ip", arguments.ip) if arguments.ip else "",
        "ipv6": address("--ip6", arguments.ip6) if arguments.ip6 else "",
        "mac": arguments.mac_address,
        "link_local": tuple(address("--link-local-ip", ip) for ip in arguments.link_local_ips),
    }
    for name, value in given.items():
        if value and getattr(first, name):
            raise FlagError(f"conflicting options: cannot specify both {_SAID[name]}")
    return replace(first, **{name: value for name, value in given.items() if value})


_SAID = {
    "aliases": "--network-alias and per-network alias",
    "links": "--link and per-network links",
    "ipv4": "--ip and per-network IPv4 address",
    "ipv6": "--ip6 and per-network IPv6 address",
    "mac": "--mac-address and per-network MAC address",
    "link_local": "--link-local-ip and per-network link-local IP addresses",
}


def endpoint(attachment: Attachment) -> Json:
    """The API's EndpointSettings."""
    if not attachment.target.strip():
        raise FlagError("no name set for network")
    if attachment.aliases and not is_user_defined(attachment.target):
        raise FlagError("network-scoped aliases are only supported for user-defined networks")
    if attachment.mac and not _MAC.fullmatch(attachment.mac.strip()):
        raise FlagError(f"{attachment.mac} is not a valid mac address")
    ipam = {
        "IPv4Address": attachment.ipv4,
        "IPv6Address": attachment.ipv6,
        "LinkLocalIPs": list(attachment.link_local),
    }
    found: Json = {
        "Aliases": list(attachment.aliases),
        "Links": list(attachment.links),
        "DriverOpts": attachment.driver_opts,
        "MacAddress": attachment.mac.strip(),
        "IPAMConfig": {name: value for name, value in ipam.items() if value},
        "GwPriority": attachment.priority,
    }
    return {name: value for name, value in found.items() if value}


def port_bindings(texts: Sequence[str]) -> dict[str, list[Json]]:
    """`127.0.0.1:8080:80/tcp`, by container port."""
    found: dict[str, list[Json]] = {}
    for text in texts:
        try:
            ports = parse_port(_short_port(text), most=_MOST_PORT + 1)
        except ValueError as error:
            raise FlagError(str(error)) from error
        for port in ports:
            binding = {"HostIp": port.get("host_ip", ""), "HostPort": port.get("published", "")}
            found.setdefault(f"{port['target']}/{port['protocol']}", []).append(binding)
    return found


def _short_port(text: str) -> str:
    """`published=8080,target=80` in the short form."""
    if "=" not in text:
        return text
    given = {"protocol": "tcp", "published": "", "target": ""}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise FlagError(f"invalid publish opts format (should be name=value but got '{part}')")
        given[key] = value
    return f"{given['published']}:{given['target']}/{given['protocol']}"


def exposed_ports(texts: Sequence[str]) -> dict[str, Json]:
    """`8000-8010/udp`."""
    found: dict[str, Json] = {}
    for text in texts:
        match = _EXPOSED.fullmatch(text)
        if ":" in text:
            raise FlagError(f"invalid port format for --expose: {text}")
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or last < first or last > _MOST_PORT:
            raise FlagError(f'invalid range format for --expose: "{text}"')
        kind = (match[3] or "tcp").lower()
        found |= {f"{number}/{kind}": {} for number in range(first, last + 1)}
    return found
