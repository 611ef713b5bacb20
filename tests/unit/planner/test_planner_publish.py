"""Ports that are published for a test alone, and what is none."""

from __future__ import annotations

import pytest
from planning import service, stack

from stackr.errors import InvalidArgument
from stackr.planner.desired.publish import with_published
from stackr.spec.model.parts import Port

STACK = stack(
    {
        "web": service(
            ports=(Port(target=80, protocol="tcp", published="8080"),), expose=("80", "9000-9001")
        ),
        "db": service(),
        "host": service(network_mode="host", expose=("1",)),
    }
)


def published(*wishes: str) -> dict[str, list[tuple[int, str | None, str | None]]]:
    found = with_published(STACK, wishes).services
    return {
        name: [(port.target, port.protocol, port.host_ip) for port in each.ports]
        for name, each in found.items()
        if each.ports
    }


WEB = (80, "tcp", None)


@pytest.mark.parametrize(
    ("wishes", "ports"),
    [
        ((), {"web": [WEB]}),
        (("db:5432",), {"web": [WEB], "db": [(5432, "tcp", "127.0.0.1")]}),
        (("db:53/udp", "db:53/udp"), {"web": [WEB], "db": [(53, "udp", "127.0.0.1")]}),
        (("db:5/sctp",), {"web": [WEB], "db": [(5, "sctp", "127.0.0.1")]}),
        (("web:80",), {"web": [WEB]}),
        (("web",), {"web": [WEB, (9000, "tcp", "127.0.0.1"), (9001, "tcp", "127.0.0.1")]}),
        (("all",), {"web": [WEB, (9000, "tcp", "127.0.0.1"), (9001, "tcp", "127.0.0.1")]}),
    ],
)
def test_ports_are_published_on_loopback(wishes: tuple[str, ...], ports: object) -> None:
    assert published(*wishes) == ports


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("no:1", "no such service: no"),
        ("db:x", r"SERVICE:PORT or SERVICE:PORT/PROTOCOL is expected \(tcp, udp, sctp\)"),
        ("db:70000", "SERVICE:PORT or"),
        ("db:1/dccp", "SERVICE:PORT or"),
        ("db", 'the stack file has no "expose" of it'),
        ("host:1", "its network_mode is host: it publishes nothing"),
    ],
)
def test_what_cannot_be_published(wish: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        published(wish)
