"""One command to Redis, in its protocol (RESP 2), on a connection of its own."""

import socket
from typing import BinaryIO

PORT = 6379
TIMEOUT_S = 5


class RedisError(OSError):
    """Redis answered with an error, or not in its protocol."""


def call(host: str, *command: str) -> object:
    """The answer to a command: a string, an integer, None, or a list of these."""
    request = f"*{len(command)}\r\n".encode()
    for word in command:
        data = word.encode()
        request += b"$%d\r\n%s\r\n" % (len(data), data)
    with (
        socket.create_connection((host, PORT), timeout=TIMEOUT_S) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(request)
        return _read(answer)


def _read(answer: BinaryIO) -> object:
    line = answer.readline().rstrip(b"\r\n").decode()
    kind, value = line[:1], line[1:]
    if kind == "+":
        return value
    if kind == ":":
        return int(value)
    if kind == "$":
        return None if value == "-1" else answer.read(int(value) + 2)[:-2].decode()
    if kind == "*":
        return [_read(answer) for _ in range(int(value))]
    raise RedisError(value or "redis: the connection was closed")
