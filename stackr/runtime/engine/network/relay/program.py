"""The relay: a small process that holds published host ports, whether the engine's daemon runs.

nftables leads nearly everything to containers inside the kernel. What it cannot lead arrives here:
connections to `[::]`, `::1` among them, and those made while its rules are missing. And as the
sockets are held here, nobody else gets a port of a running container while no daemon runs.

A container's end it sees by itself, from a descriptor of the container's first process; its ports
are free then. It ends when it has no port and no daemon is connected. Run as
`python -I -S -c "..." stackr-relay ROOT LISTENER CONNECTION SOCKET`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence

from stackr.runtime.engine.linux.loop import Loop
from stackr.runtime.engine.linux.sidecar import Answer, Sidecar, inherited, run_at
from stackr.runtime.engine.network.relay import wire
from stackr.runtime.engine.network.relay.port import Container, Key, Port, Relay
from stackr.runtime.engine.network.relay.sctp import SctpPort
from stackr.runtime.engine.network.relay.tcp import TcpPort
from stackr.runtime.engine.network.relay.udp import UdpPort

TYPE_CHECKING = False  # typing's own costs 1 MB
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_KINDS = {"tcp": TcpPort, "udp": UdpPort, "sctp": SctpPort}


class Program:
    """Everything the process holds; `run` returns when nobody needs it any more."""

    def __init__(self) -> None:
        self._loop = Loop()
        self._containers: dict[str, Container] = {}
        self._sidecar = Sidecar(
            "relay", wire.PROTOCOL, self._loop, serves=self._serves, do=self._do
        )
        self._relay = Relay(self._loop, self._sidecar.catch_up)

    def run(self, listener: socket.socket, first: socket.socket) -> None:
        self._sidecar.open(listener, first)
        while self._sidecar.is_connected or self._relay.ports:
            self._loop.run_once()

    def _serves(self) -> list[tuple[Key, bool]]:
        return [(key, port.is_reserved) for key, port in self._relay.ports.items()]

    # --- what daemons ask for ----------------------------------------------------------------

    def _do(self, message: dict[str, Any], fds: list[int]) -> Answer | None:
        for verb, do in (("serve", self._serve), ("lead", self._lead)):
            if verb in message:
                do(message[verb], message["ports"], fds)
                return None
        if "cut" in message:
            self._cut(message["cut"])
            return None
        if "count" in message:
            return {"clients": self._count(message["count"])}, ()
        if "lend" in message:
            return self._lend(message["lend"])
        if "forget" in message:
            self._forget(message["forget"])
        for protocol, host, number in message.get("close", ()):
            self._close((protocol, host, number))
        return {}, ()

    def _serve(self, container_id: str, ports: Sequence[Any], fds: list[int]) -> None:
        if len(fds) != 1 + len(ports):  # the limit of open files
            for fd in fds:
                os.close(fd)
            raise OSError(f"container {container_id}: {len(fds)} descriptors arrived")
        container = self._container(container_id, fds[0])
        for document, fd in zip(ports, fds[1:], strict=True):
            key = _key(document)
            self._close(key)
            port = _KINDS[key[0]](self._relay, key, socket.socket(fileno=fd))
            self._relay.ports[key] = port
            _lead(port, container, document)
            port.open()

    def _lead(self, container_id: str, ports: Iterable[Any], fds: list[int]) -> None:
        container = self._container(container_id, fds[0])
        for document in ports:
            port = self._relay.ports.get(_key(document))
            if port is not None:
                _lead(port, container, document)

    def _container(self, container_id: str, pidfd: int) -> Container:
        known = self._containers.get(container_id)
        if known is not None:
            os.close(pidfd)
            return known
        container = self._containers[container_id] = Container(container_id, pidfd)
        self._loop.watch(pidfd, lambda: self._forget(container_id))
        return container

    def _cut(self, container_id: str) -> None:
        if container_id in self._containers:
            self._containers[container_id].cut()

    def _forget(self, container_id: str) -> None:
        container = self._containers.pop(container_id, None)
        if container is None:
            return
        self._loop.unwatch(container.pidfd)
        os.close(container.pidfd)
        for key in [key for key, p in self._relay.ports.items() if p.container is container]:
            self._close(key)
        container.cut()

    def _close(self, key: Key) -> None:
        port = self._relay.ports.pop(key, None)
        if port is not None:
            port.close()

    def _count(self, container_id: str) -> int:
        container = self._containers.get(container_id)
        return sum(client.is_served for client in container.clients) if container else 0

    def _lend(self, keys: Iterable[Any]) -> Answer:
        ports = [p for key in keys if (p := self._relay.ports.get(tuple(key))) is not None]
        return {"lent": [port.key for port in ports]}, [os.dup(p.socket.fileno()) for p in ports]


def _key(document: Sequence[Any]) -> Key:
    protocol, host, number = document[0]
    return protocol, host, number


def _lead(port: Port, container: Container, document: Sequence[Any]) -> None:
    _, address, number, port.is_reserved = document
    port.container, port.target = container, (address, number)


def main(argv: list[str]) -> None:
    """argv: the numbers of two descriptors, then a path; see the module's docstring."""
    listener, first = inherited(argv[:2])
    run_at(argv[2], lambda: Program().run(listener, first))
