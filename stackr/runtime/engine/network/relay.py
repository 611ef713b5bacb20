"""Carry what arrives at a held host port to a container, in this process.

nftables leads nearly everything to containers inside the kernel. What it cannot lead arrives here:
connections to `[::]`, `::1` among them, and those made while its rules are missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["TcpRelay", "UdpRelay"]

_CHUNK_BYTES = 1 << 16
_CONNECT_TIMEOUT_S = 10.0
_UDP_IDLE_S = 90.0
_UDP_CLIENTS = 1024


class TcpRelay:
    """Accepts at `listener` (owned from `start` on) and connects each client to `target`."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self._listener = listener
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._listener)

    def close(self) -> None:
        """Stop listening, and cut what is open."""
        if self._server is None:
            self._listener.close()
        else:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # only `close` cancels, and nobody waits for this task
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        except (OSError, TimeoutError):
            return
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of the input, which is passed on as a half-close."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Datagrams(asyncio.DatagramProtocol):
    """Hands each datagram on; a peer's ICMP errors are not ours to report."""

    def __init__(self, received: Callable[[bytes, Any], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._received(data, addr)


class UdpRelay:
    """Answers go back to the client whose datagrams led to them; a silent client is forgotten."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self._listener = listener
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[Any, _UdpClient] = {}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._received), sock=self._listener
        )

    def close(self) -> None:
        if self._transport is None:
            self._listener.close()
        else:
            self._transport.close()
        for client in list(self._clients.values()):
            client.close()

    def _received(self, data: bytes, address: Any) -> None:
        client = self._clients.get(address)
        if client is None:
            if len(self._clients) >= _UDP_CLIENTS or self._transport is None:
                return
            client = _UdpClient(self._transport, address, lambda: self._clients.pop(address, None))
            self._clients[address] = client
            client.start(self._target)
        client.send(data)


class _UdpClient:
    """One client's socket towards the container."""

    def __init__(
        self, outer: asyncio.DatagramTransport, address: Any, forget: Callable[[], object]
    ) -> None:
        self._outer = outer
        self._address = address
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._inner: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._timer = self._loop.call_later(_UDP_IDLE_S, self.close)
        self._task: asyncio.Task[None] | None = None

    def start(self, target: tuple[str, int]) -> None:
        self._task = self._loop.create_task(self._connect(target))

    async def _connect(self, target: tuple[str, int]) -> None:
        try:
            self._inner, _ = await self._loop.create_datagram_endpoint(
                lambda: _Datagrams(self._answered), remote_addr=target
            )
        except OSError:
            self.close()
            return
        for data in self._waiting:
            self._inner.sendto(data)
        self._waiting.clear()

    def send(self, data: bytes) -> None:
        self._rest()
        if self._inner is None:
            self._waiting.append(data)
        else:
            self._inner.sendto(data)

    def close(self) -> None:
        self._timer.cancel()
        self._forget()
        if self._inner is not None:
            self._inner.close()
        elif self._task is not None:
            self._task.cancel()

    def _answered(self, data: bytes, _: Any) -> None:
        self._rest()
        self._outer.sendto(data, self._address)

    def _rest(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(_UDP_IDLE_S, self.close)
