"""What a test is told of its environment: where each published port answers; pure.

    STACKR_<SERVICE>_<PORT>        127.0.0.1:20123
    STACKR_<SERVICE>_<PORT>_HOST   127.0.0.1
    STACKR_<SERVICE>_<PORT>_PORT   20123
    STACKR_<SERVICE>_<PORT>_URL    http://127.0.0.1:20123

<SERVICE> is in upper case, with _ for all but letters and digits; <PORT> is the container's. Of a
service with several containers these are the first one's, and each container has its own, with its
number after the service's name (STACKR_WEB_2_80). A UDP port has _UDP after its number.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

__all__ = ["Address", "Member", "dotenv", "reached_from", "services_json", "variables"]

_OTHER = re.compile(r"[^A-Z0-9]")
_EVERY_IPV4, _EVERY_IPV6 = ("", "0.0.0.0"), "::"
_SCHEMES = {
    80: "http",
    443: "https",
    3000: "http",
    3306: "mysql",
    4222: "nats",
    5000: "http",
    5432: "postgresql",
    5672: "amqp",
    6379: "redis",
    8000: "http",
    8080: "http",
    8443: "https",
    9200: "http",
    27017: "mongodb",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where one port of a container answers. scheme: of its URL, "" for the port's usual one."""

    container_port: int
    host: str
    port: int
    protocol: str = "tcp"
    scheme: str = ""

    @property
    def text(self) -> str:
        """`127.0.0.1:20123`, `[::1]:20123`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        scheme = self.scheme or (
            _SCHEMES.get(self.container_port, "tcp") if self.protocol == "tcp" else self.protocol
        )
        return f"{scheme}://{self.text}"


def reached_from(host: str, addresses: Iterable[Address]) -> tuple[Address, ...]:
    """The addresses as seen from here, where those that are every address are `host`'s.

    A port that is published at every address, IPv4 and IPv6, is one.
    """
    seen = [
        replace(
            address,
            host=_loopback_of(host)
            if address.host == _EVERY_IPV6
            else host
            if address.host in _EVERY_IPV4
            else address.host,
        )
        for address in addresses
    ]
    by_name = set(seen)
    return tuple(
        dict.fromkeys(
            address
            for address in seen
            if address.host != "::1" or replace(address, host=host) not in by_name
        )
    )


def _loopback_of(host: str) -> str:
    return "::1" if host == "127.0.0.1" else host


@dataclass(frozen=True, slots=True)
class Member:
    """One container of the environment. addresses: by network; state, health: the engine's."""

    service: str
    number: int
    name: str = ""
    id: str = ""
    state: str = ""
    health: str = ""
    addresses: Mapping[str, str] | None = None
    ports: tuple[Address, ...] = ()


def variables(members: Iterable[Member]) -> tuple[dict[str, str], list[str]]:
    """The variables of the ports, by name, and the names that are left out.

    A name that two ports would have is left out: `my-app` and `my.app` read the same. Of several
    addresses of one port, the first counts.
    """
    ordered = sorted(members, key=lambda member: (member.service, member.number))
    counts = Counter(member.service for member in ordered)
    found: defaultdict[str, dict[tuple[str, int], str]] = defaultdict(dict)
    for member in ordered:
        for address in member.ports:
            for numbered in (False, True) if counts[member.service] > 1 else (False,):
                whose = (member.service, member.number if numbered else 0)
                for name, value in _of(member, address, numbered=numbered):
                    found[name].setdefault(whose, value)
    clear = {name: next(iter(v.values())) for name, v in sorted(found.items()) if len(v) == 1}
    return clear, sorted(name for name, values in found.items() if len(values) > 1)


def _of(member: Member, address: Address, *, numbered: bool) -> Iterator[tuple[str, str]]:
    service = _OTHER.sub("_", member.service.upper()) + (f"_{member.number}" if numbered else "")
    port = f"{address.container_port}" + ("" if address.protocol == "tcp" else "_UDP")
    name = f"STACKR_{service}_{port}"
    yield name, address.text
    yield f"{name}_HOST", address.host
    yield f"{name}_PORT", str(address.port)
    yield f"{name}_URL", address.url


def services_json(members: Iterable[Member]) -> str:
    """The value of STACKR_SERVICES: every container by service, in one line."""
    services: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    for member in sorted(members, key=lambda member: (member.service, member.number)):
        services[member.service].append(
            {
                "number": member.number,
                "name": member.name,
                "id": member.id,
                "state": member.state,
                "health": member.health,
                "addresses": dict(member.addresses or {}),
                "ports": [
                    {**{k: v for k, v in asdict(a).items() if k != "scheme"}, "url": a.url}
                    for a in member.ports
                ],
            }
        )
    return json.dumps(services, separators=(",", ":"))


def dotenv(values: Mapping[str, str]) -> str:
    """As lines that .env readers and a shell's `.` read alike."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:@\[\]-]*", value):
        return value
    return "'" + value.replace("'", "'\\''") + "'"
