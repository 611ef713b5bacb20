"""Ports that a stack file does not publish, published on loopback for a test; pure.

A wish is `SERVICE:PORT`, `SERVICE:PORT/udp`, `SERVICE` for all that the file lets it expose, or
`all` for all that any service exposes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from stackr.errors import InvalidArgument
from stackr.spec.model.parts import Port
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.short import PORT_PROTOCOLS
from stackr.text import whole_number

__all__ = ["with_published"]

_MOST_PORT = 65535
_LOOPBACK = "127.0.0.1"
_EVERY = "all"


class _Wish(NamedTuple):
    service: str
    port: int
    protocol: str


def with_published(project: Project, wishes: Sequence[str]) -> Project:
    """The project with these ports published as well; what is published already stays as it is.

    Raises InvalidArgument for a wish that is none, or of a service that cannot publish.
    """
    if not wishes:
        return project
    wanted = [each for text in wishes for each in _wishes(project, text)]
    services = {
        name: service.model_copy(update={"ports": (*service.ports, *_missing(service, wanted))})
        for name, service in project.services.items()
    }
    return project.model_copy(update={"services": services})


def _missing(service: Service, wanted: Iterable[_Wish]) -> Iterator[Port]:
    there = {(port.target, port.protocol or "tcp") for port in service.ports}
    for wish in dict.fromkeys(wanted):
        if wish.service == service.name and (wish.port, wish.protocol) not in there:
            yield Port(target=wish.port, protocol=wish.protocol, host_ip=_LOOPBACK, mode="ingress")


def _wishes(project: Project, text: str) -> Iterator[_Wish]:
    name, colon, port = text.partition(":")
    if not colon and name == _EVERY and _EVERY not in project.services:
        for service in project.services.values():
            if not service.network_mode:
                yield from _exposed(service)
        return
    if name not in project.services:
        raise InvalidArgument(f'--publish: "{text}": no such service: {name}')
    service = project.services[name]
    if service.network_mode:
        raise InvalidArgument(
            f'--publish: "{text}": its network_mode is {service.network_mode}: it publishes nothing'
        )
    if colon:
        yield _wish(name, port, text)
        return
    found = list(_exposed(service))
    if not found:
        raise InvalidArgument(
            f'--publish: "{text}": the stack file has no "expose" of it',
            hint=f"name the port: {name}:PORT",
        )
    yield from found


def _exposed(service: Service) -> Iterator[_Wish]:
    for entry in service.expose:
        numbers, _, protocol = str(entry).partition("/")
        first, _, last = numbers.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield _Wish(service.name, number, protocol or "tcp")


def _wish(service: str, port: str, text: str) -> _Wish:
    number, _, protocol = port.partition("/")
    wanted = whole_number(number, most=_MOST_PORT)
    if not wanted or protocol not in ("", *PORT_PROTOCOLS):
        raise InvalidArgument(
            f'--publish: "{text}": SERVICE:PORT or SERVICE:PORT/PROTOCOL is expected '
            f"({', '.join(PORT_PROTOCOLS)})"
        )
    return _Wish(service, wanted, protocol or "tcp")
