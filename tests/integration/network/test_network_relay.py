"""The relay's process between held host ports and containers; loopback alone, no root."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from network_lab import DEADLINE_S, eventually, has_sctp

from stackr.runtime.engine.network.ports import HeldPort
from stackr.runtime.engine.network.relay_client import RelayClient
from stackr.runtime.engine.network.types import PublishedPort

Address = tuple[str, int]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def bound(kind: socket.SocketKind, host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
    made.bind((host, 0))
    return made


def held(
    protocol: str = "tcp", container_port: int = 1, listener: socket.socket | None = None
) -> HeldPort:
    """A port of this host that listens."""
    if listener is None:
        listener = bound(socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        if protocol == "tcp":
            listener.listen(128)
    number = listener.getsockname()[1]
    return HeldPort(PublishedPort(container_port, protocol, "127.0.0.1", number), listener)


def front(port: HeldPort) -> Address:
    return port.published.host_ip, port.published.host_port


class Relay:
    """A relay of the test's own; this process stands for its containers'."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.client = RelayClient(path, lambda: None)

    def lead(self, container: str, target: Address, protocol: str = "tcp") -> HeldPort:
        port = held(protocol, target[1])
        self.client.serve(container, os.getpid(), target[0], [port])
        return port

    def turn(self, port: HeldPort, container: str, target: Address) -> None:
        published = PublishedPort(target[1], port.published.protocol, *front(port))
        self.client.serve(container, os.getpid(), target[0], [HeldPort(published)])

    async def restart(self) -> None:
        """Another daemon's connection."""
        await self.client.close()
        self.client = RelayClient(self.path, lambda: None)
        await self.client.find()


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    relay = Relay(tmp_path / "ports.sock")
    relay.client.start()
    yield relay
    await relay.client.close_ports(list(relay.client.keys))
    await relay.client.close()
    assert not relay.path.exists(), "it ends with the last port and daemon"


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    received = await reader.read()  # until the client has closed its half
    writer.write(received[::-1])
    await writer.drain()
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await reader.read()
    writer.close()


async def tell(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while line := await reader.readline():
            writer.write(name.encode() + b" " + line)
    writer.close()


async def server(name: str, address: str) -> asyncio.Server:
    return await asyncio.start_server(partial(tell, name), address, 0)


def target(of: asyncio.Server) -> Address:
    host, port = of.sockets[0].getsockname()
    return host, port


async def say(connection: Connection, text: bytes) -> bytes:
    reader, writer = connection
    writer.write(text + b"\n")
    return await asyncio.wait_for(reader.readline(), DEADLINE_S)


async def led(port: HeldPort) -> Connection | None:
    """A connection to the server `web` behind a port; None where it is turned away."""
    try:
        connection = await asyncio.open_connection(*front(port))
        if await say(connection, b"x") == b"web x\n":
            return connection
    except ConnectionResetError:
        return None
    connection[1].close()
    return None


async def is_cut(connection: Connection) -> bool:
    try:
        return await asyncio.wait_for(connection[0].read(), DEADLINE_S) == b""
    except ConnectionResetError:
        return True


async def test_much_data_goes_both_ways_and_half_closes_pass(relay: Relay) -> None:
    payload = bytes(range(256)) * (1 << 16)
    behind = await asyncio.start_server(upper, "127.0.0.1", 0)
    port = relay.lead("a", target(behind))

    async def exchange() -> bytes:
        reader, writer = await asyncio.open_connection(*front(port))
        writer.write(payload)
        writer.write_eof()
        received = await reader.read()
        writer.close()
        return received

    async with asyncio.timeout(DEADLINE_S):
        answers = await asyncio.gather(exchange(), exchange(), exchange())
    assert all(answer == payload[::-1] for answer in answers)
    behind.close()


async def test_a_containers_connections_are_counted_and_cut(relay: Relay) -> None:
    old, new = await server("old", "127.0.0.1"), await server("new", "127.0.0.2")
    port = relay.lead("old", target(old))
    lasting = await asyncio.open_connection(*front(port))
    assert await say(lasting, b"1") == b"old 1\n"
    relay.turn(port, "new", target(new))
    later = await asyncio.open_connection(*front(port))
    assert await say(later, b"2") == b"new 2\n"
    assert await say(lasting, b"3") == b"old 3\n"
    assert [await relay.client.count(name) for name in ("old", "new", "other")] == [1, 1, 0]
    await relay.client.forget("old")
    assert await is_cut(lasting)
    assert await say(later, b"4") == b"new 4\n"
    relay.client.cut("new")
    assert await is_cut(later)
    again = await asyncio.open_connection(*front(port))
    assert await say(again, b"5") == b"new 5\n"
    await relay.client.close_ports([port.key])
    assert await say(again, b"6") == b"new 6\n", "who is there stays until he is cut"
    socket.create_server(front(port)).close()
    await relay.client.forget("new")
    assert await is_cut(again)
    for _, writer in (lasting, later, again):
        writer.close()
    old.close()
    new.close()


async def test_a_target_that_refuses_closes_the_client(relay: Relay) -> None:
    with closing(bound(socket.SOCK_STREAM)) as unused:  # which nobody listens on
        port = relay.lead("a", unused.getsockname())
        connection = await asyncio.open_connection(*front(port))
        assert await is_cut(connection)
        connection[1].close()


@pytest.mark.skipif(not has_sctp(), reason="the kernel has no SCTP")
async def test_messages_of_sctp_stay_what_they_are(relay: Relay) -> None:
    loop = asyncio.get_running_loop()
    with closing(association()) as behind, closing(association()) as client:
        behind.bind(("127.0.0.1", 0))
        behind.listen(8)
        listener = association()
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        port = held("sctp", behind.getsockname()[1], listener)
        relay.client.serve("a", os.getpid(), "127.0.0.1", [port])
        await loop.sock_connect(client, front(port))
        server, _ = await loop.sock_accept(behind)
        for size in (1, 1000, 60_000):
            await loop.sock_sendall(client, b"x" * size)
            await loop.sock_sendall(client, b"y" * size)
            for letter in (b"x", b"y"):
                data = await asyncio.wait_for(loop.sock_recv(server, 1 << 18), DEADLINE_S)
                assert data == letter * size
        await loop.sock_sendall(server, b"answer")
        assert await loop.sock_recv(client, 100) == b"answer"
        server.close()
        assert await asyncio.wait_for(loop.sock_recv(client, 100), DEADLINE_S) == b""
        refused = association()
        behind.close()
        with closing(refused), suppress(ConnectionError):
            await loop.sock_connect(refused, front(port))
            assert await asyncio.wait_for(loop.sock_recv(refused, 100), DEADLINE_S) == b""


def association() -> socket.socket:
    """One-to-one style, bound or connected later."""
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
    return socket.socket(socket.AF_INET, kind, socket.IPPROTO_SCTP)


async def test_each_udp_client_gets_its_own_answers(relay: Relay) -> None:
    loop = asyncio.get_running_loop()
    with closing(bound(socket.SOCK_DGRAM)) as behind:

        def echo() -> None:
            data, client = behind.recvfrom(100)
            behind.sendto(b"echo " + data, client)

        loop.add_reader(behind, echo)
        port = relay.lead("a", behind.getsockname(), "udp")

        async def ask(text: bytes) -> bytes:
            with closing(bound(socket.SOCK_DGRAM)) as client:
                client.sendto(text, front(port))
                return await asyncio.wait_for(loop.sock_recv(client, 100), DEADLINE_S)

        answers = await asyncio.gather(*(ask(b"%d" % n) for n in range(5)))
        assert answers == [b"echo %d" % n for n in range(5)]
        loop.remove_reader(behind)


async def test_a_udp_client_stays_until_it_is_cut(relay: Relay) -> None:
    loop = asyncio.get_running_loop()
    behind = {name: bound(socket.SOCK_DGRAM, f"127.0.0.{n}") for n, name in enumerate("ab", 1)}

    def echo(name: str) -> None:
        _, client = behind[name].recvfrom(100)
        behind[name].sendto(name.encode(), client)

    for name, each in behind.items():
        loop.add_reader(each, partial(echo, name))
    port = relay.lead("a", behind["a"].getsockname(), "udp")
    with closing(bound(socket.SOCK_DGRAM)) as client:
        client.connect(front(port))

        async def ask() -> bytes:
            client.send(b"?")
            return await asyncio.wait_for(loop.sock_recv(client, 100), DEADLINE_S)

        assert await ask() == b"a"
        relay.turn(port, "b", behind["b"].getsockname())
        assert await ask() == b"a"
        assert [await relay.client.count(name) for name in "ab"] == [1, 0]
        await relay.client.forget("a")
        assert await ask() == b"b"
        assert [await relay.client.count(name) for name in "ab"] == [0, 1]
    for each in behind.values():
        loop.remove_reader(each)
        each.close()


async def test_it_goes_on_without_a_daemon_and_is_found_again(relay: Relay) -> None:
    behind = await server("web", "127.0.0.1")
    ports = [relay.lead("a", target(behind)) for _ in range(250)]
    connection = await asyncio.open_connection(*front(ports[7]))
    assert await say(connection, b"1") == b"web 1\n"
    pid = relay.client.pid
    await relay.restart()
    assert relay.client.pid == pid
    assert relay.client.keys == {port.key for port in ports}
    assert await say(connection, b"2") == b"web 2\n"
    assert await relay.client.count("a") == 1
    connection[1].close()
    behind.close()


async def test_a_container_that_ends_gives_its_ports_up_by_itself(relay: Relay) -> None:
    process = subprocess.Popen(["sleep", "600"])
    port = held()
    relay.client.serve("a", process.pid, "127.0.0.1", [port])
    assert await relay.client.count("a") == 0
    await relay.client.close()
    with pytest.raises(OSError, match="in use"):
        socket.create_server(front(port))
    process.kill()
    process.wait()

    async def is_gone() -> bool:
        return not relay.path.exists()

    await eventually(is_gone, "the end of a process that nobody needs")
    socket.create_server(front(port)).close()


async def test_a_reserved_ports_socket_is_lent_to_the_next_daemon(relay: Relay) -> None:
    plain, own = held(), held()
    assert own.socket is not None
    reserved = HeldPort(own.published, own.socket.dup(), is_reserved=True)
    relay.client.serve("a", os.getpid(), "127.0.0.1", [plain, reserved])
    own.close()
    await relay.restart()
    assert relay.client.lent(plain.key) is None
    lent = relay.client.lent(own.key)
    assert lent is not None
    assert lent.getsockname() == front(own)
    await relay.client.close_ports([plain.key, own.key])
    with closing(lent), pytest.raises(OSError, match="in use"):
        socket.create_server(front(own))


async def test_ones_clients_leave_room_for_anothers(tmp_path: Path) -> None:
    """Idle clients take a port's share of the descriptors, and no more; nothing else suffers."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    relay = Relay(tmp_path / "ports.sock")
    relay.client.start()
    assert relay.client.pid is not None
    resource.prlimit(relay.client.pid, resource.RLIMIT_NOFILE, (400, 400))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    behind, other = await server("web", "127.0.0.1"), await server("other", "127.0.0.1")
    try:
        flooded, port = relay.lead("a", target(behind)), relay.lead("b", target(other))
        clients: list[Connection] = []
        while (client := await led(flooded)) is not None:
            clients.append(client)
        assert 60 < len(clients) < 120
        connection = await asyncio.open_connection(*front(port))
        assert await say(connection, b"1") == b"other 1\n"
        assert await relay.client.count("a") == len(clients)
        for _, writer in clients[:5]:
            writer.close()

        async def is_room() -> bool:
            client = await led(flooded)
            clients.extend([client] if client else [])
            return client is not None

        await eventually(is_room, "room again")
        log = relay.path.with_suffix(".log").read_text()
        assert f"relay: port [127.0.0.1]:{front(flooded)[1]}/tcp:" in log
        assert "the limit of open files is 400" in log
        for _, writer in (*clients, connection):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await relay.client.close_ports(list(relay.client.keys))
        await relay.client.close()
        behind.close()
        other.close()
