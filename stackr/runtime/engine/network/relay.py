"""Carry what arrives at a held host port to a container, in this process.

A port may be handed to another container: who comes later is led there, and who was there before
stays with the old one. Targets are an IPv4 address and a port.

nftables leads nearly everything to containers inside the kernel. What it cannot lead arrives here:
connections to `[::]`, `::1` among them, and those made while its rules are missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["Relay", "TcpRelay", "UdpRelay"]

_CHUNK_BYTES = 1 << 16
_CONNECT_TIMEOUT_S = 10.0
_UDP_IDLE_S = 90.0
_UDP_CLIENTS = 1024
_UDP_RECENT_S = 10.0

Target = tuple[str, int]


class TcpRelay:
    """Accepts at `listener` (owned from `start` on) and connects each client to `target`."""

    def __init__(self, listener: socket.socket, target: Target) -> None:
        self._listener = listener
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], Target] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._listener)

    def close(self) -> None:
        """Stop listening. What is open goes on until it is cut."""
        if self._server is None:
            self._listener.close()
        else:
            self._server.close()

    def retarget(self, target: Target) -> None:
        self._target = target

    def connections(self, address: str) -> int:
        """How many there are to the container at this address."""
        return sum(target[0] == address for target in self._tasks.values())

    def cut(self, address: str) -> None:
        """End the connections to the container at this address."""
        for task, target in self._tasks.items():
            if target[0] == address:
                task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, target = asyncio.current_task(), self._target
        if task is not None:
            self._tasks[task] = target
            task.add_done_callback(self._tasks.pop)
        try:
            await self._serve(reader, writer, target)
        except asyncio.CancelledError:
            pass  # only `close` cancels, and nobody waits for this task
        finally:
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target
    ) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                inner_reader, inner_writer = await asyncio.open_connection(*target)
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

    def __init__(self, listener: socket.socket, target: Target) -> None:
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
        """Stop listening; there is no answering without."""
        if self._transport is None:
            self._listener.close()
        else:
            self._transport.close()
        for client in list(self._clients.values()):
            client.close()

    def retarget(self, target: Target) -> None:
        self._target = target

    def connections(self, address: str) -> int:
        """How many clients of the container at this address have sent or received of late."""
        return sum(
            client.is_recent for client in self._clients.values() if client.target[0] == address
        )

    def cut(self, address: str) -> None:
        """Forget the clients of the container at this address."""
        for client in list(self._clients.values()):
            if client.target[0] == address:
                client.close()

    def _received(self, data: bytes, address: Any) -> None:
        client = self._clients.get(address)
        if client is None:
            if len(self._clients) >= _UDP_CLIENTS or self._transport is None:
                return
            client = _UdpClient(
                self._transport,
                address,
                self._target,
                forget=lambda: self._clients.pop(address, None),
            )
            self._clients[address] = client
            client.start()
        client.send(data)


class _UdpClient:
    """One client's socket towards the container."""

    def __init__(
        self,
        outer: asyncio.DatagramTransport,
        address: Any,
        target: Target,
        *,
        forget: Callable[[], object],
    ) -> None:
        self.target = target
        self._outer = outer
        self._address = address
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._inner: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._timer = self._loop.call_later(_UDP_IDLE_S, self.close)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_recent(self) -> bool:
        return self._timer.when() - self._loop.time() >= _UDP_IDLE_S - _UDP_RECENT_S

    def start(self) -> None:
        self._task = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            self._inner, _ = await self._loop.create_datagram_endpoint(
                lambda: _Datagrams(self._answered), remote_addr=self.target
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


Relay = TcpRelay | UdpRelay
