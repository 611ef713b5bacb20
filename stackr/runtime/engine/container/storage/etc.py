"""A container's /etc/hosts; pure. Source: Docker's layout of the file; hosts(5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from stackr.errors import InvalidArgument

__all__ = ["HOST_GATEWAY", "check_extra_hosts", "hosts_file"]

HOST_GATEWAY = "host-gateway"

_LOOPBACK = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts_file(
    *,
    names: str,
    addresses: Iterable[str],
    extra_hosts: Sequence[str],
    host_gateways: Sequence[str],
    links: Sequence[tuple[str, str]] = (),
) -> str:
    """The text of /etc/hosts.

    names: the container's own, as they follow its addresses ("web.example.com web"); extra_hosts:
    "name:address", where the address may be `host-gateway` for `host_gateways`; links: address and
    names of the containers that it is linked to.
    """
    lines = [_LOOPBACK]
    for extra in extra_hosts:
        name, address = _split(extra)
        own = host_gateways if address == HOST_GATEWAY else (address,)
        lines += [f"{each}\t{name}\n" for each in own if each]
    lines += [f"{address}\t{linked}\n" for address, linked in links]
    lines += [f"{address}\t{names}\n" for address in addresses if address]
    return "".join(lines)


def check_extra_hosts(extra_hosts: Sequence[str]) -> None:
    """Raise InvalidArgument, with Docker's texts, for an entry that is not "name:address"."""
    for extra in extra_hosts:
        name, address = _split(extra)
        if not name or not address:
            raise InvalidArgument(f'bad format for add-host: "{extra}"')
        if address == HOST_GATEWAY:
            continue
        try:
            ip_address(address)
        except ValueError as error:
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from error


def _split(extra: str) -> tuple[str, str]:
    """ "name:address" or "name=address"; the address may be IPv6, with or without brackets."""
    separator = "=" if "=" in extra else ":"
    name, _, address = extra.partition(separator)
    return name.strip(), address.strip().removeprefix("[").removesuffix("]")
