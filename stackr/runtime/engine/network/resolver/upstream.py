"""Ask other resolvers, from the namespace of this process: the host's.

So one on the host's loopback serves containers, too.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Sequence

from stackr.runtime.engine.linux.loop import Deadline, readable, writable

__all__ = ["ask_upstream", "read_exactly", "send_all"]

_TIMEOUT_S = 3.0
_SERVERS = 3
_MAX_BYTES = 65535
_HEADER_BYTES = 12
_ANSWER = 0x80  # the first bit of the third byte
_PORT = 53


async def ask_upstream(data: bytes, servers: Sequence[str], *, tcp: bool) -> bytes | None:
    """The first answer of the servers in turn, as they gave it; None where none answers in time.

    The query goes out under an ID of its own, from a port of its own.
    """
    own_id = os.urandom(2)
    exchange = _exchange_tcp if tcp else _exchange_udp
    for server in servers[:_SERVERS]:
        try:
            answer = await exchange(own_id + data[2:], server, time.monotonic() + _TIMEOUT_S)
        except (OSError, EOFError, Deadline):
            continue
        return data[:2] + answer[2:]
    return None


async def _exchange_udp(data: bytes, server: str, deadline: float) -> bytes:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as upstream:
        upstream.connect(_socket_address(server))
        upstream.send(data)
        while True:
            await readable(upstream.fileno(), deadline)
            try:
                answer = upstream.recv(_MAX_BYTES)
            except BlockingIOError:
                continue
            if _answers(answer, data):
                return answer


async def _exchange_tcp(data: bytes, server: str, deadline: float) -> bytes:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as upstream:
        code = upstream.connect_ex(_socket_address(server))
        if code == errno.EINPROGRESS:
            await writable(upstream.fileno(), deadline)
            code = upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        await send_all(upstream, len(data).to_bytes(2, "big") + data, deadline)
        length = int.from_bytes(await read_exactly(upstream, 2, deadline), "big")
        answer = await read_exactly(upstream, length, deadline)
    if not _answers(answer, data):
        raise OSError(errno.EBADMSG, "answer to another query")
    return answer


def _answers(answer: bytes, query: bytes) -> bool:
    return len(answer) >= _HEADER_BYTES and answer[:2] == query[:2] and bool(answer[2] & _ANSWER)


async def send_all(connection: socket.socket, data: bytes, deadline: float) -> None:
    """Raises OSError, Deadline."""
    left = memoryview(data)
    while left:
        try:
            left = left[connection.send(left) :]
        except BlockingIOError:
            await writable(connection.fileno(), deadline)


async def read_exactly(connection: socket.socket, count: int, deadline: float) -> bytes:
    """Raises EOFError where the other side ends before, OSError, Deadline."""
    data = b""
    while len(data) < count:
        try:
            chunk = connection.recv(count - len(data))
        except BlockingIOError:
            await readable(connection.fileno(), deadline)
            continue
        if not chunk:
            raise EOFError
        data += chunk
    return data


def _socket_address(server: str) -> tuple[str, int] | tuple[str, int, int, int]:
    if ":" not in server:
        return (server, _PORT)
    address, _, zone = server.partition("%")
    return (address, _PORT, 0, socket.if_nametoindex(zone) if zone else 0)
