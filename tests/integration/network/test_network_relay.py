"""The relay between a held host port and a container; loopback alone, no root."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing, suppress

from stackr.runtime.engine.network.relay import TcpRelay, UdpRelay


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


async def test_a_closed_relay_cuts_its_connections() -> None:
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
    while not relay._tasks:
        await asyncio.sleep(0)
    relay.close()
    with suppress(ConnectionResetError):  # what the relay had not read yet resets instead
        assert await reader.read() == b""
    writer.close()
    server.close()


async def test_a_target_that_refuses_closes_the_client() -> None:
    with closing(listener(socket.SOCK_STREAM)) as unused:
        target = unused.getsockname()
    front = listener(socket.SOCK_STREAM)
    relay = TcpRelay(front, target)
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
                return await asyncio.wait_for(loop.sock_recv(client, 100), 5)

        answers = await asyncio.gather(*(ask(b"%d" % n) for n in range(5)))
        assert answers == [b"echo %d" % n for n in range(5)]
        relay.close()
        loop.remove_reader(target)
        await asyncio.sleep(0)
