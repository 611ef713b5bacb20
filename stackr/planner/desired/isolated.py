"""Host ports of an isolated copy: the same for the same name, others where they are taken; pure.

Each port that the stack file fixes is one that follows from the copy's name and from what it is
for; where somebody has that, the next that follows, so that copies that come up at once do not
meet. A range of n ports becomes n ports in a row. What the copy has, it keeps. Ports that the file
leaves to the engine are left to it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

from stackr.errors import Conflict
from stackr.spec.model.parts import Port
from stackr.spec.model.project import Project
from stackr.text import whole_number

__all__ = [
    *("FIRST", "LAST", "FixedPort", "IsFree", "Kept", "PortKey"),
    *("chosen_ports", "fixed_ports", "kept_ports", "listed_ports", "preferred", "with_host_ports"),
]

_MOST_PORT = 65535
FIRST, LAST = 20000, 32767
"""Below those that the kernel gives to clients."""
_ATTEMPTS = 64

PortKey: TypeAlias = tuple[str, int, str, str, int]
"""(service, container port, protocol, host address, number among those that are the same so far)"""
IsFree: TypeAlias = Callable[[int, str, str], bool]
"""(port, protocol, host address) -> whether nobody has it."""
Kept: TypeAlias = Mapping[PortKey, tuple[int, int]]
"""The first and the last host port that a container of the copy has."""


@dataclass(frozen=True, slots=True)
class FixedPort:
    """A port whose host port the file fixes. index: its place in the service's `ports`.

    width: of the range that it may come from.
    """

    key: PortKey
    index: int
    width: int = 1

    @property
    def service(self) -> str:
        return self.key[0]


def fixed_ports(project: Project) -> tuple[FixedPort, ...]:
    """The ports of a project as the file has it."""
    return tuple(
        FixedPort(key, index, last - first + 1)
        for service in project.services.values()
        if not service.network_mode
        for key, index, first, last in _published(service.name, map(_of_port, service.ports))
    )


def kept_ports(service: str, spec: str) -> dict[PortKey, tuple[int, int]]:
    """The host ports of a container, by the resolved service that its label holds."""
    try:
        return listed_ports(service, json.loads(spec).get("ports") or ())
    except (ValueError, TypeError, AttributeError, KeyError):
        return {}


def listed_ports(
    service: str, ports: Iterable[Mapping[str, Any]]
) -> dict[PortKey, tuple[int, int]]:
    """The host ports of a service. ports: in the long form of the stack file."""
    return {key: (first, last) for key, _, first, last in _published(service, map(_of_json, ports))}


def preferred(project: str, key: PortKey, attempt: int = 0) -> int:
    """The port that is tried first, second...: other copies try others, where many are taken."""
    text = "/".join(map(str, (project, *key, *((attempt,) if attempt else ()))))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return FIRST + number % (LAST - FIRST + 1)


def chosen_ports(
    project: str, ports: Iterable[FixedPort], kept: Kept, is_free: IsFree
) -> dict[tuple[str, int], tuple[int, int]]:
    """The first and the last host port of each, by service and index.

    kept: what stays as it is, if it is as wide. Raises Conflict where none is free.
    """
    chosen: dict[tuple[str, int], tuple[int, int]] = {}
    wanted = sorted(ports, key=lambda port: port.key)
    taken: set[tuple[int, str]] = set()
    missing: list[FixedPort] = []
    for port in wanted:
        held = kept.get(port.key)
        if held is None or held[1] - held[0] + 1 != port.width:
            missing.append(port)
            continue
        chosen[port.service, port.index] = held
        taken |= {(number, port.key[2]) for number in range(held[0], held[1] + 1)}
    for port in missing:
        found = _found(project, port, taken, is_free)
        chosen[port.service, port.index] = found
        taken |= {(number, port.key[2]) for number in range(found[0], found[1] + 1)}
    return chosen


def _found(
    project: str, port: FixedPort, taken: set[tuple[int, str]], is_free: IsFree
) -> tuple[int, int]:
    """The first row of free ports among the preferred ones, and then among all."""
    _, _, protocol, host_ip, _ = port.key
    known: dict[int, bool] = {}

    def free(number: int) -> bool:
        if number not in known:
            known[number] = (number, protocol) not in taken and is_free(number, protocol, host_ip)
        return known[number]

    tried = (preferred(project, port.key, attempt) for attempt in range(_ATTEMPTS))
    for first in chain(tried, range(FIRST, LAST + 1)):
        if first + port.width - 1 <= LAST and all(map(free, range(first, first + port.width))):
            return first, first + port.width - 1
    raise Conflict(f"ports: all of {FIRST} to {LAST} are in use")


def with_host_ports(copy: Project, chosen: Mapping[tuple[str, int], tuple[int, int]]) -> Project:
    """The project with these host ports."""
    services = {
        name: service.model_copy(
            update={
                "ports": tuple(
                    port.model_copy(update={"published": _text(chosen[name, index])})
                    if (name, index) in chosen
                    else port
                    for index, port in enumerate(service.ports)
                )
            }
        )
        for name, service in copy.services.items()
    }
    return copy.model_copy(update={"services": services})


def _text(ports: tuple[int, int]) -> str:
    first, last = ports
    return f"{first}" if first == last else f"{first}-{last}"


@dataclass(frozen=True, slots=True)
class _Seen:
    target: int
    protocol: str
    host_ip: str
    published: str


def _of_port(port: Port) -> _Seen:
    return _Seen(port.target or 0, port.protocol or "tcp", port.host_ip or "", port.published or "")


def _of_json(port: Mapping[str, Any]) -> _Seen:
    return _Seen(
        int(port["target"]),
        port.get("protocol") or "tcp",
        port.get("host_ip") or "",
        str(port.get("published") or ""),
    )


def _published(service: str, ports: Iterable[_Seen]) -> Iterator[tuple[PortKey, int, int, int]]:
    """Those with a host port: the key, the index, the first and the last host port."""
    same: Counter[tuple[int, str, str]] = Counter()
    for index, port in enumerate(ports):
        first, _, last = port.published.partition("-")
        low = whole_number(first, most=_MOST_PORT)
        if not low:
            continue
        what = (port.target, port.protocol, port.host_ip)
        key = (service, *what, same[what])
        same[what] += 1
        yield key, index, low, whole_number(last, most=_MOST_PORT) or low
