"""Where an engine listens beside its own socket, as `-H` and `hosts` name it; pure.

`unix:///run/x.sock`, `tcp://ADDRESS:PORT`, and `fd://[NAME]` for sockets that systemd has opened.
Source: dockerd, "Daemon socket option"; systemd.socket(5), `FileDescriptorName=`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from stackr.errors import InvalidArgument

__all__ = ["FdHost", "Host", "TcpHost", "UnixHost", "check_authenticated", "parse_host"]

_TLS_PORT, _PLAIN_PORT = 2376, 2375
_LOCALHOST = "localhost"
_MOST_PATH_BYTES = 107
_NAME = re.compile(r"[^\x00-\x20:/]*")


@dataclass(frozen=True, slots=True)
class UnixHost:
    path: Path

    def __str__(self) -> str:
        return f"unix://{self.path}"


@dataclass(frozen=True, slots=True)
class TcpHost:
    """address: a name or an IP address; port: 0 for one that is free."""

    address: str
    port: int

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"tcp://{address}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        if self.address == _LOCALHOST:
            return True
        try:
            return ip_address(self.address).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class FdHost:
    """name: of the sockets that are meant, or the number of one; "" is all of them."""

    name: str

    def __str__(self) -> str:
        return f"fd://{self.name}"


Host = UnixHost | TcpHost | FdHost


def parse_host(text: str, *, tls: bool) -> Host:
    """tls: decides which port is meant where none is named. Raises InvalidArgument."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator and scheme.startswith("/"):
        scheme, rest = "unix", scheme
    if scheme == "unix" and rest.startswith("/") and len(rest.encode()) <= _MOST_PATH_BYTES:
        return UnixHost(Path(rest))
    if scheme == "fd" and _NAME.fullmatch(rest):
        return FdHost("" if rest == "*" else rest)
    if scheme == "tcp" and (found := _tcp(rest, tls=tls)):
        return found
    raise InvalidArgument(
        f'host "{text[:200]}": not an address to listen at',
        hint="write unix:///path/to.sock, tcp://ADDRESS:PORT or fd://",
    )


def _tcp(rest: str, *, tls: bool) -> TcpHost | None:
    try:
        parts = urlsplit(f"//{rest}")
        port = parts.port
    except ValueError:
        return None
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in rest:
        return None
    if port is None:
        port = _TLS_PORT if tls else _PLAIN_PORT
    return TcpHost(parts.hostname or _LOCALHOST, port)


def check_authenticated(hosts: Sequence[Host], *, verifies: bool, allowed: bool) -> list[str]:
    """Who can connect rules the host as root does: warnings, a line each.

    verifies: clients show certificates. allowed: those without are wanted, beyond loopback, too.
    Raises InvalidArgument for a host that anyone on the network could use.
    """
    warnings = []
    for host in hosts:
        if not isinstance(host, TcpHost) or verifies:
            continue
        if not (host.is_loopback or allowed):
            raise InvalidArgument(
                f'host "{host}": whoever reaches it would be root here, as no certificate is asked'
                " for",
                hint="ask for one: --tlsverify --tlscacert CA --tlscert CERT --tlskey KEY; or add"
                " --allow-unauthenticated-tcp if that is what you want",
            )
        who = "any user of this host" if host.is_loopback else "whoever reaches it"
        warnings.append(f"{host}: no certificate is asked for: {who} is root here")
    return warnings
