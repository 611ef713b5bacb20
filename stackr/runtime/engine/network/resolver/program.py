"""The resolver: a small process of its own that answers names whether the engine's daemon runs.

It holds the DNS sockets of the containers' namespaces and the table of names, both given to it by
the daemon. It ends when it serves no container and no daemon is connected. A container's end it
sees by itself, from a descriptor of the container's first process, so that nothing is kept of what
ends while no daemon runs. Run as
`python -I -S -c "..." stackr-resolver ROOT LISTENER CONNECTION SOCKET RESOLV_CONF`.
"""

from __future__ import annotations

import os
import socket
import sys

from stackr.runtime.engine.linux.loop import Loop
from stackr.runtime.engine.linux.sidecar import Sidecar, inherited, run_at
from stackr.runtime.engine.network.resolv import HostResolver
from stackr.runtime.engine.network.resolver import wire
from stackr.runtime.engine.network.resolver.server import ContainerServer, View
from stackr.runtime.engine.network.resolver.table import Container, NamedEndpoint, Names

TYPE_CHECKING = False  # typing's own costs 1 MB
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]


class _Served:
    """A container's server, and the descriptor that tells of the container's end."""

    __slots__ = ("pidfd", "server")

    def __init__(self, server: ContainerServer, pidfd: int) -> None:
        self.server = server
        self.pidfd = pidfd


class Program:
    """Everything the process holds; `run` returns when nobody needs it any more."""

    def __init__(self, host: HostResolver) -> None:
        self._loop = Loop()
        self._names = Names()
        self._served: dict[str, _Served] = {}
        self._sidecar = Sidecar(
            "resolver", wire.PROTOCOL, self._loop, serves=lambda: list(self._served), do=self._do
        )
        catch_up = self._sidecar.catch_up
        self._view = View(self._loop, self._names, lambda: host.read().nameservers, catch_up)

    def run(self, listener: socket.socket, first: socket.socket) -> None:
        self._sidecar.open(listener, first)
        while self._sidecar.is_connected or self._served:
            self._loop.run_once()

    def _do(self, message: dict[str, Any], fds: list[int]) -> None:
        if "serve" in message:
            self._serve(_container(message["serve"]), fds)
        for document in message.get("update", ()):
            if document["id"] in self._served:
                self._names.put(_container(document))
        for container_id in message.get("forget", ()):
            self._forget(container_id)

    def _serve(self, container: Container, fds: list[int]) -> None:
        if len(fds) != wire.FDS:  # the limit of open files
            sys.stderr.write(f"resolver: container {container.id}: no descriptors left\n")
            for fd in fds:
                os.close(fd)
            return
        self._forget(container.id)
        udp, tcp, pidfd = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1]), fds[2]
        for listener in (udp, tcp):
            listener.setblocking(False)
        server = ContainerServer(container.id, udp, tcp, self._view)
        self._served[container.id] = _Served(server, pidfd)
        self._names.put(container)
        self._loop.watch(pidfd, lambda: self._forget(container.id))
        server.start()

    def _forget(self, container_id: str) -> None:
        served = self._served.pop(container_id, None)
        self._names.remove(container_id)
        if served is not None:
            self._loop.unwatch(served.pidfd)
            os.close(served.pidfd)
            served.server.close()


def _container(document: dict[str, Any]) -> Container:
    endpoints = [NamedEndpoint(**endpoint) for endpoint in document["endpoints"]]
    return Container(document["id"], endpoints, document["upstreams"])


def main(argv: list[str]) -> None:
    """argv: the numbers of two descriptors, then two paths; see the module's docstring."""
    listener, first = inherited(argv[:2])
    path, resolv_conf = argv[2:4]
    run_at(path, lambda: Program(HostResolver(resolv_conf)).run(listener, first))
