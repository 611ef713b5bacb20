"""The resolver: a small process of its own that answers names whether the engine's daemon runs.

It holds the DNS sockets of the containers' namespaces and the table of names, both given to it by
the daemon, and takes the next daemon's connection when that one has gone. It ends when it serves
no container and no daemon is connected. A container's end it sees by itself, from a descriptor of
the container's first process, so that nothing is kept of what ends while no daemon runs.

It imports little, as its memory stays resident for as long as any container runs. Run as
`python -I -S -c "..." stackr-resolver ROOT LISTENER CONNECTION SOCKET RESOLV_CONF`.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time

from stackr.runtime.engine.network.resolv import HostResolver
from stackr.runtime.engine.network.resolver import wire
from stackr.runtime.engine.network.resolver.loop import Deadline, Loop, Task, writable
from stackr.runtime.engine.network.resolver.server import ContainerServer, View
from stackr.runtime.engine.network.resolver.table import Container, Endpoint, Names

TYPE_CHECKING = False  # typing's own costs 1 MB
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_BACKLOG = 8
_FDS = 3
_GREETING_TIMEOUT_S = 10.0


class _Served:
    """A container's server, and the descriptor that tells of the container's end."""

    __slots__ = ("pidfd", "server")

    def __init__(self, server: ContainerServer, pidfd: int) -> None:
        self.server = server
        self.pidfd = pidfd


class Program:
    """Everything the process holds; `run` returns when nobody needs it any more."""

    def __init__(self, listener: socket.socket, host: HostResolver) -> None:
        self._listener = listener
        self._loop = Loop()
        self._names = Names()
        self._served: dict[str, _Served] = {}
        self._daemons: set[socket.socket] = set()
        self._greetings: set[Task] = set()
        self._view = View(self._loop, self._names, lambda: host.read().nameservers, self._catch_up)

    def run(self, first: socket.socket) -> None:
        """first: the connection of the daemon that started this process."""
        self._listener.setblocking(False)
        self._listener.listen(_BACKLOG)  # again: from now on it is this process that listens
        self._loop.watch(self._listener.fileno(), self._acceptable)
        self._welcome(first)
        while self._daemons or self._served:
            self._loop.run_once()

    # --- daemons -----------------------------------------------------------------------------

    def _acceptable(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        self._catch_up()  # what an earlier daemon said comes before the greeting
        self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._daemons.add(connection)
        self._loop.watch(connection.fileno(), lambda: self._receive(connection))
        self._loop.spawn(self._greet(connection.dup()), self._greetings)

    async def _greet(self, connection: socket.socket) -> None:
        """On a descriptor of its own, as the other waits for what the daemon says."""
        ids = list(self._served)
        deadline = time.monotonic() + _GREETING_TIMEOUT_S
        with connection:
            while True:
                some, ids = ids[: wire.SERVED_IDS], ids[wire.SERVED_IDS :]
                greeting = {"protocol": wire.PROTOCOL, "pid": os.getpid(), "serves": some}
                data = json.dumps(greeting | {"more": bool(ids)}).encode()
                try:
                    await _send(connection, data, deadline)
                except (OSError, Deadline):
                    return  # it has gone, or does not listen
                if not ids:
                    return

    def _catch_up(self) -> None:
        for connection in list(self._daemons):
            self._receive(connection)

    def _receive(self, connection: socket.socket) -> None:
        """Do all that a daemon has asked for so far."""
        while connection in self._daemons:
            try:
                data, fds, _, _ = socket.recv_fds(connection, wire.MAX_MESSAGE, _FDS)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._lose(connection)
                return
            try:
                self._do(json.loads(data), fds)
            except (ValueError, KeyError, TypeError, OSError) as error:
                sys.stderr.write(f"resolver: a message is not understood: {error!r}\n")
                self._lose(connection)

    def _lose(self, connection: socket.socket) -> None:
        self._daemons.discard(connection)
        self._loop.unwatch(connection.fileno())
        connection.close()

    # --- what they ask for -------------------------------------------------------------------

    def _do(self, message: dict[str, Any], fds: list[int]) -> None:
        if "serve" in message:
            self._serve(_container(message["serve"]), fds)
        for document in message.get("update", ()):
            if document["id"] in self._served:
                self._names.put(_container(document))
        for container_id in message.get("forget", ()):
            self._forget(container_id)

    def _serve(self, container: Container, fds: list[int]) -> None:
        if len(fds) != _FDS:  # the limit of open files
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


async def _send(connection: socket.socket, data: bytes, deadline: float) -> None:
    while True:
        try:
            connection.send(data)
        except BlockingIOError:
            await writable(connection.fileno(), deadline)
        else:
            return


def _container(document: dict[str, Any]) -> Container:
    endpoints = [Endpoint(**endpoint) for endpoint in document["endpoints"]]
    return Container(document["id"], endpoints, document["upstreams"])


def main(argv: list[str]) -> None:
    """argv: the numbers of two descriptors, then two paths; see the module's docstring."""
    numbers = [int(number) for number in argv[:2]]
    path, resolv_conf = argv[2:4]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _close_others(numbers, most)
    os.setsid()
    os.chdir("/")
    listener, first = (socket.socket(fileno=number) for number in numbers)
    own = _inode(path)
    Program(listener, HostResolver(resolv_conf)).run(first)
    # The socket goes before the listener is closed: who still connects gets no answer, and starts
    # another resolver only then, under the same name.
    if own is not None and _inode(path) == own:
        os.unlink(path)


def _close_others(kept: list[int], most: int) -> None:
    """What the daemon has open for a reader that waits for its end is not ours to keep open."""
    low, high = sorted(kept)
    for start, end in ((3, low), (low + 1, high), (high + 1, most)):
        os.closerange(start, end)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
