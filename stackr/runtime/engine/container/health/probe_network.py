"""The probes of a port and of an HTTP answer, made from inside the container's network namespace.

Only the sockets are made in there, by a thread; all else is the event loop's, with a deadline for
the whole and limits for what is read. What costs time in a TLS handshake runs in a thread as well.
Source: RFC 9112, section 4 (status line) and RFC 9110, section 15.2 (interim answers).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from stackr.runtime.engine.container.health.probe import HttpTest, ProbeResult, TcpTest
from stackr.runtime.engine.linux.netns import Visitor
from stackr.runtime.engine.linux.process import proc_folder

__all__ = ["HttpProbe", "TcpProbe"]

_Address = tuple[socket.AddressFamily, str]
_Candidates = list[tuple[socket.socket, str]]

_LOOPBACKS: tuple[_Address, ...] = (
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET6, "::1"),
)
_MOST_ADDRESSES = 8
_PATIENCE_S = 1.0
_MOST_HEAD = 16 << 10
_CHUNK = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?:[ \r]|$)")
_SIOCGIFADDR = 0x8915
_IPV6_GLOBAL = "00"


class Namespace:
    """The network of a running container, by its first process."""

    def __init__(self, visitor: Visitor, pid: int, started: int) -> None:
        self._visitor = visitor
        self._pid = pid
        self._started = started

    async def connect(self, address: str, port: int) -> socket.socket:
        """A connection to an address, or to the first of the container's own that takes one.

        Raises OSError: that of the last address, a refusal before anything else.
        """
        candidates = await self._visitor.run(
            self._open, lambda: _sockets(address), discard=_close_all
        )
        errors: list[OSError] = []
        try:
            while candidates:
                connection, host = candidates.pop(0)
                error = await _connected(connection, host, port)
                if error is None:
                    return connection
                connection.close()
                errors.append(error)
        finally:
            _close_all(candidates)
        raise next(
            (e for e in errors if e.errno == errno.ECONNREFUSED),
            errors[-1] if errors else OSError(errno.EADDRNOTAVAIL, "no address"),
        )

    def _open(self) -> int:
        with proc_folder(self._pid, self._started) as process:
            return os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)


def _close_all(candidates: _Candidates) -> None:
    for connection, _ in candidates:
        connection.close()


def _sockets(address: str) -> _Candidates:
    """In the thread: a socket for each address to try; a family that is switched off has none."""
    if address:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        wanted = [(family, address)]
    else:
        wanted = [*_LOOPBACKS, *islice(_own_addresses(), _MOST_ADDRESSES)]
    made = []
    for family, host in wanted:
        with contextlib.suppress(OSError):
            connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            made.append((connection, host))
    return made


def _own_addresses() -> Iterator[_Address]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for _, name in socket.if_nameindex():
            request = struct.pack("16sH22x", name.encode()[:15], socket.AF_INET)
            with contextlib.suppress(OSError):  # an interface without an address
                answer = fcntl.ioctl(control, _SIOCGIFADDR, request)
                address = socket.inet_ntoa(answer[20:24])
                if not address.startswith("127."):
                    yield socket.AF_INET, address
    for line in _lines(Path("/proc/thread-self/net/if_inet6")):
        digits, _, _, scope, _, _ = line.split()
        if scope == _IPV6_GLOBAL:
            yield socket.AF_INET6, socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []  # a kernel without IPv6


async def _connected(connection: socket.socket, host: str, port: int) -> OSError | None:
    """Why there is no connection; an address that stays silent is given up for the next one."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.get_running_loop().sock_connect(connection, (host, port))
    except TimeoutError:
        return OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    except OSError as error:
        return error
    except BaseException:
        connection.close()
        raise
    return None


def _reason(error: OSError) -> str:
    """In the kernel's words: asyncio has its own for some."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


class TcpProbe:
    """Whether the port takes a connection, which is closed at once."""

    def __init__(self, visitor: Visitor, pid: int, started: int, test: TcpTest) -> None:
        self._namespace = Namespace(visitor, pid, started)
        self._test = test

    async def __call__(self) -> ProbeResult:
        port = self._test.port
        try:
            (await self._namespace.connect("", port)).close()
        except OSError as error:
            return ProbeResult(1, f"port {port}: {_reason(error)}")
        return ProbeResult(0, f"port {port}: accepts connections")


class HttpProbe:
    """Whether GET is answered with a status of the test's; the body is not read."""

    def __init__(self, visitor: Visitor, pid: int, started: int, test: HttpTest) -> None:
        self._namespace = Namespace(visitor, pid, started)
        self._test = test
        self._context: ssl.SSLContext | None = None

    async def __call__(self) -> ProbeResult:
        test = self._test
        try:
            connection = await self._namespace.connect(test.address, test.port)
        except OSError as error:
            return ProbeResult(1, f"port {test.port}: {_reason(error)}")
        try:
            with connection:
                status = await self._status(connection)
        except (OSError, ValueError) as error:
            why = _reason(error) if isinstance(error, OSError) else str(error)
            return ProbeResult(1, f"port {test.port}: {why}")
        expected = any(first <= status <= last for first, last in test.statuses)
        return ProbeResult(0 if expected else 1, f"HTTP {status}")

    async def _status(self, connection: socket.socket) -> int:
        channel = await self._channel(connection)
        await channel.send(_request(self._test))
        return await _read_status(channel)

    async def _channel(self, connection: socket.socket) -> _Plain | _Secure:
        plain = _Plain(connection)
        if not self._test.secure:
            return plain
        self._context = self._context or _unverified()
        secure = _Secure(plain, self._context)
        await secure.handshake()
        return secure


def _request(test: HttpTest) -> bytes:
    lines = (
        f"GET {test.target} HTTP/1.1",
        f"Host: {test.host}",
        "User-Agent: stackr",
        "Accept: */*",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def _read_status(channel: _Plain | _Secure) -> int:
    """Of the first answer that is final. Raises ValueError for what is no HTTP."""
    data, read = b"", 0
    while read < _MOST_HEAD:
        chunk = await channel.receive()
        data, read = data + chunk, read + len(chunk)
        while b"\n" in data or not chunk:
            match = _STATUS.match(data)
            if match is None:
                raise ValueError("does not answer in HTTP" if data else "closed without an answer")
            status = int(match[1])
            if status >= 200:
                return status
            _, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                break
            data = rest
        if not chunk:
            raise ValueError("closed without an answer")
    raise ValueError("does not answer in HTTP")


class _Plain:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._connection, data)

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._connection, _CHUNK)


class _Secure:
    """TLS over a channel; each step of the handshake may compute for a while."""

    def __init__(self, channel: _Plain, context: ssl.SSLContext) -> None:
        self._channel = channel
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing)

    async def handshake(self) -> None:
        await self._step(lambda: asyncio.to_thread(self._session.do_handshake))

    async def send(self, data: bytes) -> None:
        self._session.write(data)
        await self._flush()

    async def receive(self) -> bytes:
        async def read() -> bytes:
            return self._session.read(_CHUNK)

        return bytes(await self._step(read))

    async def _step(self, work: Callable[[], Any]) -> Any:
        """Do the work, as often as it wants more of the other side's bytes."""
        read = 0
        while True:
            try:
                result = await work()
                await self._flush()
                return result
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise ValueError(f"TLS: {(error.reason or str(error)).lower()}") from error
            chunk = await self._channel.receive()
            read += len(chunk)
            if not chunk or read > 8 * _MOST_HEAD:
                raise ValueError("TLS: closed early" if not chunk else "TLS: too long a handshake")
            self._incoming.write(chunk)

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._channel.send(data)


def _unverified() -> ssl.SSLContext:
    """The probe asks whether the server works, not who it is nor how well its key is chosen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context
