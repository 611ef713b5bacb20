"""Frames, and the pump between a client and a process."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from stackr.runtime.engine.api.hangups import HangUps
from stackr.runtime.engine.api.http import Connection, Duplex
from stackr.runtime.engine.api.stream import MULTIPLEXED, RAW, content_type, frame, pump


def test_a_frame_has_eight_bytes_before_its_data() -> None:
    assert frame(2, b"abc") == b"\x02\x00\x00\x00\x00\x00\x00\x03abc"


def test_content_types_by_version_and_terminal() -> None:
    assert content_type((1, 47), tty=False) == MULTIPLEXED
    assert content_type((1, 47), tty=True) == RAW
    assert content_type((1, 41), tty=False) == RAW


class _Client:
    """What the client sends, then its half-close; what it got."""

    def __init__(self, *sends: bytes) -> None:
        self.sends = [*sends, b""]
        self.got: list[bytes] = []
        self.hung_up = asyncio.Event()
        self.closed = False

    async def read(self) -> bytes:
        return self.sends.pop(0)

    async def write(self, data: bytes) -> None:
        self.got.append(data)

    async def until_hung_up(self) -> None:
        await self.hung_up.wait()

    async def close(self) -> None:
        self.closed = True


class _Process:
    """Says what it has read once its input ends."""

    def __init__(self, *, ends: bool = True) -> None:
        self.input = b""
        self.ended_input = asyncio.Event()
        self.closed = False
        self.ends = ends
        self.outputs: list[tuple[int, bytes] | None] = []

    async def read(self) -> tuple[int, bytes] | None:
        await self.ended_input.wait()
        if not self.outputs:
            self.outputs = [(1, self.input.upper()), (2, b"done"), None]
        output = self.outputs.pop(0)
        if output is None and not self.ends:
            await asyncio.Event().wait()
        return output

    async def write(self, data: bytes) -> None:
        self.input += data

    async def close_stdin(self) -> None:
        self.ended_input.set()

    async def close(self) -> None:
        self.closed = True


async def test_output_goes_on_after_the_client_has_closed_its_side() -> None:
    client, process = _Client(b"ab", b"cd"), _Process()
    await pump(cast(Duplex, client), process, stdin=True, framed=True)
    assert client.got == [frame(1, b"ABCD"), frame(2, b"done")]
    assert client.closed
    assert process.closed


async def test_only_the_streams_asked_for_are_shown() -> None:
    client, process = _Client(b"ab"), _Process()
    await pump(cast(Duplex, client), process, stdin=True, framed=False, shown=(2,))
    assert client.got == [b"done"]


async def test_a_client_that_hangs_up_lets_go_of_the_process() -> None:
    client, process = _Client(), _Process(ends=False)
    client.hung_up.set()
    await pump(cast(Duplex, client), process, stdin=True, framed=True)
    assert process.closed


async def test_what_is_left_to_send_is_sent_before_a_connection_ends() -> None:
    """More than a socket holds, to a client that begins to read late."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    hang_ups, data = HangUps(), bytes(4 << 20)
    connection = Connection(reader, writer, (), hang_ups, lambda: asyncio.sleep(0))
    writer.write(data)
    closing = asyncio.create_task(connection.close())
    client, client_writer = await asyncio.open_connection(sock=theirs)
    assert await client.read() == data
    await closing
    client_writer.close()
    hang_ups.close()
