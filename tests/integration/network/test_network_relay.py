"""The relay between a held host port and a container; loopback alone, no root."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing, suppress
from functools import partial

import pytest

from stackr.runtime.engine.network import relay as module
from stackr.runtime.engine.network.relay import TcpRelay, UdpRelay

_DEADLINE_S = 60.0


def listener(kind: socket.SocketKind) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    bound.setblocking(False)
    bound.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        bound.listen()
    return bound


async def test_much_data_goes_both_ways_and_half_closes_pass() -> None:
    payload = bytes(range(256)) * 8192

    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.read()  # until the client has closed its half
        writer.write(received[::-1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(upper, "127.0.0.1", 0)
    front = listener(socket.SOCK_STREAM)
    relay = TcpRelay(front, server.sockets[0].getsockname())
    address = front.getsockname()
    await relay.start()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(payload)
    writer.write_eof()
    assert await reader.read() == payload[::-1]
    writer.close()
    await writer.wait_closed()
    relay.close()
    server.close()


async def test_a_relay_cuts_the_connections_of_one_container() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    front = listener(socket.SOCK_STREAM)
    relay = TcpRelay(front, server.sockets[0].getsockname())
    address = front.getsockname()
    await relay.start()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"x")
    await writer.drain()
    while not relay.connections("127.0.0.1"):
        await asyncio.sleep(0)
    relay.close()
    assert relay.connections("127.0.0.1") == 1, "it goes on until it is cut"
    relay.cut("127.0.0.2")
    relay.cut("127.0.0.1")
    with suppress(ConnectionResetError):  # what the relay had not read yet resets instead
        assert await reader.read() == b""
    writer.close()
    server.close()


async def test_a_target_that_refuses_closes_the_client() -> None:
    with closing(bound_to(1, socket.SOCK_STREAM)) as unused:  # which nobody listens on
        front = listener(socket.SOCK_STREAM)
        relay = TcpRelay(front, unused.getsockname())
        address = front.getsockname()
        await relay.start()
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        relay.close()


async def test_each_udp_client_gets_its_own_answers() -> None:
    loop = asyncio.get_running_loop()
    with closing(listener(socket.SOCK_DGRAM)) as target:

        def echo() -> None:
            data, client = target.recvfrom(100)
            target.sendto(b"echo " + data, client)

        loop.add_reader(target, echo)
        front = listener(socket.SOCK_DGRAM)
        relay = UdpRelay(front, target.getsockname())
        address = front.getsockname()
        await relay.start()

        async def ask(text: bytes) -> bytes:
            with closing(listener(socket.SOCK_DGRAM)) as client:
                client.sendto(text, address)
                return await asyncio.wait_for(loop.sock_recv(client, 100), _DEADLINE_S)

        answers = await asyncio.gather(*(ask(b"%d" % n) for n in range(5)))
        assert answers == [b"echo %d" % n for n in range(5)]
        relay.close()
        loop.remove_reader(target)
        await asyncio.sleep(0)


async def test_who_comes_after_a_change_of_target_is_led_to_the_new_one() -> None:
    told: list[asyncio.StreamWriter] = []

    async def tell(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(writer)
        while line := await reader.readline():
            writer.write(name.encode() + b" " + line)
        writer.close()

    async def server(name: str, address: str) -> asyncio.Server:
        return await asyncio.start_server(partial(tell, name), address, 0)

    old, new = await server("old", "127.0.0.1"), await server("new", "127.0.0.2")
    front = listener(socket.SOCK_STREAM)
    relay = TcpRelay(front, old.sockets[0].getsockname())
    address = front.getsockname()
    await relay.start()
    lasting, lasting_writer = await asyncio.open_connection(*address)
    lasting_writer.write(b"1\n")
    assert await lasting.readline() == b"old 1\n"
    relay.retarget(new.sockets[0].getsockname())
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"2\n")
    assert await reader.readline() == b"new 2\n"
    lasting_writer.write(b"3\n")
    assert await lasting.readline() == b"old 3\n"
    assert (relay.connections("127.0.0.1"), relay.connections("127.0.0.2")) == (1, 1)
    relay.cut("127.0.0.1")
    assert await lasting.read() == b""
    writer.write(b"4\n")
    assert await reader.readline() == b"new 4\n"
    relay.close()
    relay.cut("127.0.0.2")
    assert await reader.read() == b""
    for each in (writer, lasting_writer):
        each.close()
    for each in (writer, lasting_writer, *told):
        await each.wait_closed()
    old.close()
    new.close()


async def test_a_udp_client_stays_until_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UDP_RECENT_S", module._UDP_IDLE_S)
    loop = asyncio.get_running_loop()
    targets = {name: bound_to(address) for name, address in (("old", 1), ("new", 2))}
    for name, target in targets.items():
        loop.add_reader(target, partial(echo, name.encode(), target))
    front = listener(socket.SOCK_DGRAM)
    relay = UdpRelay(front, targets["old"].getsockname())
    await relay.start()
    with closing(listener(socket.SOCK_DGRAM)) as client:
        client.connect(front.getsockname())

        async def ask() -> bytes:
            client.send(b"?")
            return await asyncio.wait_for(loop.sock_recv(client, 100), _DEADLINE_S)

        assert await ask() == b"old"
        relay.retarget(targets["new"].getsockname())
        assert await ask() == b"old"
        assert (relay.connections("127.0.0.1"), relay.connections("127.0.0.2")) == (1, 0)
        relay.cut("127.0.0.1")
        assert await ask() == b"new"
        assert (relay.connections("127.0.0.1"), relay.connections("127.0.0.2")) == (0, 1)
    relay.close()
    for target in targets.values():
        loop.remove_reader(target)
        target.close()
    await asyncio.sleep(0)


def bound_to(last: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    bound.setblocking(False)
    bound.bind((f"127.0.0.{last}", 0))
    return bound


def echo(text: bytes, target: socket.socket) -> None:
    _, client = target.recvfrom(100)
    target.sendto(text, client)
