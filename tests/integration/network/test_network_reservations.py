"""Reserved host ports, on real sockets of a host of each test's own: who gets them, and when."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from stackr.errors import Conflict, InvalidArgument
from stackr.runtime.engine.network import reservations as module
from stackr.runtime.engine.network.ports import BindFailure, listen_on
from stackr.runtime.engine.network.reservations import (
    HostPort,
    PortRequest,
    Reservations,
    preferred_port,
)

pytestmark = pytest.mark.root

PORTS = (21300, 21319)
_DEADLINE_S = 60.0


@pytest.fixture
async def reservations(host: None) -> AsyncIterator[Reservations]:
    made = Reservations(PORTS)
    yield made
    made.close()


def _is_taken(port: int, host: str = "0.0.0.0", protocol: str = "tcp") -> bool:
    try:
        listeners = listen_on([host], protocol, port)
    except BindFailure:
        return True
    for listener in listeners.values():
        listener.close()
    return False


async def test_the_preferred_port_is_given_where_it_is_free(reservations: Reservations) -> None:
    request = PortRequest("demo/0/web/1/80/tcp")
    wanted = preferred_port(PORTS, request.key)
    assert reservations.reserve("demo", [request]) == [wanted]
    [other] = reservations.reserve("other", [request])
    assert other != wanted
    reservations.release("demo")
    assert reservations.reserve("demo", [request]) == [wanted]


async def test_reserved_means_bound_everywhere(reservations: Reservations) -> None:
    tcp, udp = reservations.reserve("demo", [PortRequest("a"), PortRequest("b", "udp")])
    for host in ("0.0.0.0", "127.0.0.1", "::", "::1"):
        assert _is_taken(tcp, host)
        assert _is_taken(udp, host, "udp")
    reservations.release("demo")
    assert not _is_taken(tcp)
    assert not _is_taken(udp, protocol="udp")


async def test_all_or_none(reservations: Reservations) -> None:
    many = [PortRequest(str(number)) for number in range(PORTS[1] - PORTS[0] + 2)]
    with pytest.raises(Conflict, match="all of 21300 to 21319 are in use"):
        reservations.reserve("demo", many)
    assert not any(_is_taken(port) for port in range(PORTS[0], PORTS[1] + 1))
    with pytest.raises(InvalidArgument, match=r"cannot listen on 192\.0\.2\.1"):
        reservations.reserve("demo", [PortRequest("a"), PortRequest("b", host_ip="192.0.2.1")])
    with pytest.raises(InvalidArgument, match="invalid IP address: localhost"):
        reservations.reserve("demo", [PortRequest("a", host_ip="localhost")])
    assert len(set(reservations.reserve("demo", many[:-1]))) == len(many) - 1


async def test_two_addresses_never_share_a_number(reservations: Reservations) -> None:
    requests = [PortRequest("same", host_ip=host) for host in ("127.0.0.1", "127.0.0.2", "::1")]
    assert len(set(reservations.reserve("demo", requests))) == 3


async def test_only_the_project_takes_its_port_and_once(reservations: Reservations) -> None:
    [port] = reservations.reserve("demo", [PortRequest("a")])
    hosts = ["0.0.0.0", "::"]
    assert reservations.take("other", hosts, "tcp", port) is None
    assert reservations.take("", hosts, "tcp", port) is None
    assert reservations.take("demo", hosts, "udp", port) is None
    taken = reservations.take("demo", hosts, "tcp", port)
    assert taken is not None
    assert set(taken) == set(hosts)
    assert reservations.take("demo", hosts, "tcp", port) is None
    for listener in taken.values():
        listener.socket.close()
        assert _is_taken(port)
        listener.closed()
    again = reservations.take("demo", hosts, "tcp", port)
    assert again is not None
    reservations.release("demo")
    assert _is_taken(port)
    for listener in again.values():
        listener.socket.close()
        listener.closed()
    assert not _is_taken(port)


async def test_a_container_may_want_other_addresses(reservations: Reservations) -> None:
    [port] = reservations.reserve("demo", [PortRequest("a")])
    taken = reservations.take("demo", ["127.0.0.1"], "tcp", port)
    assert taken is not None
    assert list(taken) == ["127.0.0.1"]
    for listener in taken.values():
        assert listener.socket.getsockname() == ("127.0.0.1", port)
        listener.socket.close()
        listener.closed()
    assert _is_taken(port, "127.0.0.1")


async def test_ports_are_held_again_after_a_restart(reservations: Reservations) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        lost = HostPort(other.getsockname()[1], host_ip="127.0.0.1")
        reservations.restore("demo", [HostPort(21305), lost])
    assert _is_taken(21305)
    taken = reservations.take("demo", ["0.0.0.0", "::"], "tcp", 21305)
    assert taken is not None
    for listener in taken.values():
        listener.socket.close()


async def _first_byte(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await reader.read(1)
    finally:
        writer.close()


async def test_who_comes_too_early_is_turned_away(
    reservations: Reservations, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, is_discarded = asyncio.get_running_loop(), asyncio.Event()
    discard = module._discard

    def noted(listener: socket.socket) -> None:
        discard(listener)
        is_discarded.set()

    monkeypatch.setattr(module, "_discard", noted)
    tcp, udp = reservations.reserve("demo", [PortRequest("a"), PortRequest("b", "udp")])
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(_first_byte(tcp), _DEADLINE_S)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.sendto(b"early", ("127.0.0.1", udp))
        await asyncio.wait_for(is_discarded.wait(), _DEADLINE_S)
        taken = reservations.take("demo", ["0.0.0.0", "::"], "udp", udp)
        assert taken is not None
        with pytest.raises(BlockingIOError):
            taken["0.0.0.0"].socket.recv(10)
        client.sendto(b"in time", ("127.0.0.1", udp))
        received = loop.sock_recv(taken["0.0.0.0"].socket, 10)
        assert await asyncio.wait_for(received, _DEADLINE_S) == b"in time"
        for listener in taken.values():
            listener.socket.close()
