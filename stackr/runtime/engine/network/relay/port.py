"""What is common to published ports of every protocol, and what they share."""

from __future__ import annotations

import resource
import socket
import sys
import time
from collections.abc import Callable

from stackr.runtime.engine.linux.loop import Deadline, Loop, Task, slept

__all__ = ["Client", "Container", "Key", "Port", "Relay"]

_SPARE = 64
_TOLD_AGAIN_S = 60.0

Key = tuple[str, str, int]
"""(protocol, host address, host port)."""


class Relay:
    """What all ports share. catch_up: takes in what the daemon has said so far.

    ports: by key; descriptors: how many of them and their clients are open.
    """

    def __init__(self, loop: Loop, catch_up: Callable[[], None]) -> None:
        self.loop = loop
        self.catch_up = catch_up
        self.ports: dict[Key, Port] = {}
        self.descriptors = 0

    @property
    def limit(self) -> int:
        """The limit of open files."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    @property
    def free(self) -> int:
        """How many descriptors there still are for clients."""
        return self.limit - _SPARE - len(self.ports) - self.descriptors


class Container:
    """One whose ports are served."""

    def __init__(self, id: str, pidfd: int) -> None:
        self.id = id
        self.pidfd = pidfd
        self.clients: set[Client] = set()

    def cut(self) -> None:
        """End what leads to it."""
        for client in list(self.clients):
            client.close()


class Port:
    """A socket at one host address and port, which leads to one container's port at a time."""

    __slots__ = (
        *("clients", "container", "is_closed", "is_reserved", "key", "relay", "socket", "target"),
        *("_paused", "_told_at"),
    )

    def __init__(self, relay: Relay, key: Key, listener: socket.socket) -> None:
        self.relay = relay
        self.key = key
        self.socket = listener
        self.container: Container
        self.target = ("", 0)
        self.is_reserved = False
        self.is_closed = False
        self.clients = 0
        self._paused: set[Task] = set()
        self._told_at = 0.0

    def ready(self) -> None:
        """Somebody has come."""
        raise NotImplementedError

    def open(self) -> None:
        self.socket.setblocking(False)
        self.relay.loop.watch(self.socket.fileno(), self.ready)

    def close(self) -> None:
        """Who comes later is refused; who is there stays."""
        self.is_closed = True
        for task in list(self._paused):
            task.cancel()
        self.relay.loop.unwatch(self.socket.fileno())
        self.socket.close()

    def pause(self, duration_s: float) -> None:
        """Accept nobody for a moment."""
        self.relay.loop.unwatch(self.socket.fileno())
        self.relay.loop.spawn(self._rest(time.monotonic() + duration_s), self._paused)

    async def _rest(self, deadline: float) -> None:
        try:
            await slept(deadline)
        except Deadline:
            self.open()

    def admits(self, descriptors: int) -> bool:
        """Whether there is room for another client, which takes so many descriptors.

        A port may have as many as are still free, so that one's clients never keep all others out.
        """
        is_room = (self.clients + 1) * descriptors <= self.relay.free
        if not is_room:
            self._tell()
        return is_room

    def _tell(self) -> None:
        now = time.monotonic()
        if self._told_at and now - self._told_at < _TOLD_AGAIN_S:
            return
        self._told_at = now
        protocol, host, number = self.key
        sys.stderr.write(
            f"relay: port [{host}]:{number}/{protocol}: {self.clients} clients, no more are let in:"
            f" the limit of open files is {self.relay.limit}\n"
        )
        sys.stderr.flush()


class Client:
    """Somebody who is led to a container: to that which has the port when he comes."""

    __slots__ = ("_descriptors", "container", "is_closed", "port", "relay")

    def __init__(self, port: Port, descriptors: int) -> None:
        self.port = port
        self.relay = port.relay
        self.container = port.container
        self.is_closed = False
        self._descriptors = descriptors
        port.clients += 1
        self.relay.descriptors += descriptors
        self.container.clients.add(self)

    @property
    def is_served(self) -> bool:
        """Whether he counts as somebody whose service should not be cut off."""
        return True

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self.port.clients -= 1
        self.relay.descriptors -= self._descriptors
        self.container.clients.discard(self)
        self.end()

    def end(self) -> None:
        """Close what it has open."""
        raise NotImplementedError
