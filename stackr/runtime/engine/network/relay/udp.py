"""Datagrams to a published UDP port, each client's by a socket of its own.

Answers go back to the client whose datagrams led to them; a silent client is forgotten.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from stackr.runtime.engine.linux.loop import Deadline, Task, slept
from stackr.runtime.engine.network.relay.port import Client, Key, Port, Relay

__all__ = ["UdpPort"]

_BURST = 64
_BYTES = 65535
_IDLE_S = 90.0
_RECENT_S = 10.0


class UdpPort(Port):
    """A socket that datagrams arrive at."""

    __slots__ = ("_by_address", "_sweeping")

    def __init__(self, relay: Relay, key: Key, listener: socket.socket) -> None:
        super().__init__(relay, key, listener)
        self._by_address: dict[Any, UdpClient] = {}
        self._sweeping: set[Task] = set()

    def ready(self) -> None:
        received = []
        with suppress(OSError):  # that was all, or an ICMP error of an earlier answer
            for _ in range(_BURST):
                received.append(self.socket.recvfrom(_BYTES))
        self.relay.catch_up()
        for data, address in received:
            client = self._by_address.get(address) or self._welcome(address)
            if client is not None:
                client.send(data)

    def close(self) -> None:
        """There is no answering without the socket."""
        for client in list(self._by_address.values()):
            client.close()
        super().close()

    def forget(self, client: UdpClient) -> None:
        self._by_address.pop(client.address, None)

    def _welcome(self, address: Any) -> UdpClient | None:
        if self.is_closed or not self.admits(1):
            return None
        try:
            inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError:
            return None
        client = self._by_address[address] = UdpClient(self, address, inner)
        if not self._sweeping:
            self.relay.loop.spawn(self._sweep(), self._sweeping)
        return client

    async def _sweep(self) -> None:
        """Forget those who have been silent for long, while there is anybody."""
        while self._by_address:
            with suppress(Deadline):
                await slept(time.monotonic() + _IDLE_S / 3)
            for client in [c for c in self._by_address.values() if c.idle_s > _IDLE_S]:
                client.close()


class UdpClient(Client):
    """One client, and the socket towards its container."""

    __slots__ = ("_inner", "_last", "_port", "address")

    def __init__(self, port: UdpPort, address: Any, inner: socket.socket) -> None:
        super().__init__(port, 1)
        self.address = address
        self._port = port
        self._inner = inner
        self._last = time.monotonic()
        with suppress(OSError):  # no way to it: then each datagram is lost
            inner.connect(port.target)
        self.relay.loop.watch(inner.fileno(), self._answered)

    @property
    def idle_s(self) -> float:
        return time.monotonic() - self._last

    @property
    def is_served(self) -> bool:
        return self.idle_s < _RECENT_S

    def send(self, data: bytes) -> None:
        self._last = time.monotonic()
        with suppress(OSError):  # nobody listens there yet, or its buffer is full
            self._inner.send(data)

    def end(self) -> None:
        self._port.forget(self)
        self.relay.loop.unwatch(self._inner.fileno())
        self._inner.close()

    def _answered(self) -> None:
        with suppress(OSError):  # that was all, or nobody listens there
            for _ in range(_BURST):
                data = self._inner.recv(_BYTES)
                self._last = time.monotonic()
                self._port.socket.sendto(data, self.address)
