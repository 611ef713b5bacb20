"""Host ports that are held for a project before, between and after its containers publish them.

A reserved port is bound and listens from the reservation on, so that nobody else gets it: not a
program, not another engine. The container that publishes it is given a duplicate of the very
socket, so that there is no moment in which the port is free. While no container has it, what comes
is turned away.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from stackr.errors import Conflict, InvalidArgument
from stackr.runtime.engine.network.ports import (
    IN_USE,
    BindFailure,
    Key,
    Listener,
    host_addresses,
    listen_on,
)

__all__ = ["HostPort", "PortRequest", "Reservations", "preferred_port"]

_AT_ONCE = 64
_DATAGRAM_BYTES = 1 << 16
_RESET = struct.pack("ii", 1, 0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PortRequest:
    """key: what the port is for; equal keys prefer equal ports. host_ip: "" is every address."""

    key: str
    protocol: str = "tcp"
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the host that is reserved."""

    port: int
    protocol: str = "tcp"
    host_ip: str = ""


def preferred_port(ports: tuple[int, int], key: str) -> int:
    """The port, of the first to the last, that is tried first for this key."""
    first, last = ports
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return first + number % (last - first + 1)


@dataclass(slots=True)
class _Reserved:
    """hosts: what was asked for; of "every address", IPv6 may have no listener.

    users: the host addresses whose duplicates a container has. is_relayed: the relay has some since
    an earlier daemon, for a container that is yet to be adopted.
    """

    project: str
    hosts: list[str]
    listeners: dict[str, socket.socket]
    users: set[str] = field(default_factory=set)
    is_relayed: bool = False


class Reservations:
    """By protocol and port; every method runs on the event loop's thread.

    lent: gives a socket back that an earlier daemon has left with the relay.
    """

    def __init__(self, ports: tuple[int, int]) -> None:
        self.lent: Callable[[Key], socket.socket | None] = lambda _: None
        self._range = ports
        self._reserved: dict[tuple[str, int], _Reserved] = {}

    def reserve(self, project: str, requests: Sequence[PortRequest]) -> list[int]:
        """A port for each request, or none at all.

        Raises InvalidArgument for an address that is not this host's, Conflict where no port is
        free.
        """
        chosen: list[tuple[str, int]] = []
        try:
            for request in requests:
                chosen.append((request.protocol, self._reserve(project, request)))
        except BaseException:
            for key in chosen:
                self._drop(key)
            raise
        return [port for _, port in chosen]

    def restore(self, project: str, ports: Iterable[HostPort]) -> None:
        """After a restart: hold the same ports again. What another has taken is logged."""
        for port in ports:
            hosts = host_addresses(port.host_ip)
            keys = ((port.protocol, host, port.port) for host in hosts)
            listeners = {key[1]: lent for key in keys if (lent := self.lent(key)) is not None}
            rest = [host for host in hosts if host not in listeners]
            is_relayed = bool(listeners)
            try:
                listeners |= listen_on(rest, port.protocol, port.port, is_rest=is_relayed)
            except BindFailure as error:
                _log.warning("port %d of %s is lost: %s", port.port, project, error.reason)
                for listener in listeners.values():
                    listener.close()
                continue
            reserved = _Reserved(project, hosts, listeners, is_relayed=is_relayed)
            self._hold((port.protocol, port.port), reserved)

    def settle(self) -> None:
        """Every running container has been adopted: nobody else uses what is reserved."""
        for reserved in self._reserved.values():
            if reserved.is_relayed:
                reserved.is_relayed = False
                self._turn_away(reserved)

    def release(self, project: str) -> None:
        """Give up every port of the project; what containers publish they go on holding."""
        for key in [key for key, held in self._reserved.items() if held.project == project]:
            self._drop(key)

    def take(
        self, project: str, hosts: Sequence[str], protocol: str, port: int
    ) -> Mapping[str, Listener] | None:
        """Duplicates of the reserved sockets, by host address.

        None where the port is not reserved for this project, or a container has it already.
        Raises BindFailure where the container wants other addresses, and those are taken.
        """
        reserved = self._reserved.get((protocol, port))
        if reserved is None or not project or reserved.project != project or reserved.users:
            return None
        if not set(reserved.listeners) <= set(hosts) <= set(reserved.hosts):
            self._move((protocol, port), reserved, list(hosts))
        self._ignore(reserved)
        reserved.is_relayed = False
        reserved.users = set(reserved.listeners)
        return {
            host: Listener(listener.dup(), self._returned(reserved, host), is_reserved=True)
            for host, listener in reserved.listeners.items()
        }

    def close(self) -> None:
        for key in list(self._reserved):
            self._drop(key)

    def _reserve(self, project: str, request: PortRequest) -> int:
        try:
            hosts = host_addresses(request.host_ip)
        except ValueError:
            raise InvalidArgument(f"invalid IP address: {request.host_ip}") from None
        for port in self._candidates(request.key):
            if (request.protocol, port) in self._reserved:
                continue
            try:
                listeners = listen_on(hosts, request.protocol, port)
            except BindFailure as error:
                if error.reason.errno in IN_USE:
                    continue
                text = str(error.reason.strerror or error.reason).lower()
                raise InvalidArgument(f"ports: cannot listen on {error.host}: {text}") from error
            self._hold((request.protocol, port), _Reserved(project, hosts, listeners))
            return port
        raise Conflict(f"ports: all of {self._range[0]} to {self._range[1]} are in use")

    def _candidates(self, key: str) -> Iterator[int]:
        preferred = preferred_port(self._range, key)
        yield from range(preferred, self._range[1] + 1)
        yield from range(self._range[0], preferred)

    def _hold(self, key: tuple[str, int], reserved: _Reserved) -> None:
        self._reserved[key] = reserved
        if not reserved.is_relayed:
            self._turn_away(reserved)

    def _move(self, key: tuple[str, int], reserved: _Reserved, hosts: list[str]) -> None:
        """Listen on other addresses: those of the network that the container turned out to use."""
        self._ignore(reserved)
        for listener in reserved.listeners.values():
            listener.close()
        try:
            listeners = listen_on(hosts, *key)
        except BindFailure:
            del self._reserved[key]
            raise
        reserved.hosts, reserved.listeners = hosts, listeners

    def _drop(self, key: tuple[str, int]) -> None:
        reserved = self._reserved.pop(key)
        self._ignore(reserved)
        for listener in reserved.listeners.values():
            listener.close()
        reserved.listeners.clear()

    def _returned(self, reserved: _Reserved, host: str) -> Callable[[], None]:
        def closed() -> None:
            reserved.users.discard(host)
            if not reserved.users:
                self._turn_away(reserved)

        return closed

    def _turn_away(self, reserved: _Reserved) -> None:
        loop = asyncio.get_running_loop()
        for listener in reserved.listeners.values():
            is_tcp = listener.type == socket.SOCK_STREAM
            loop.add_reader(listener.fileno(), _reset if is_tcp else _discard, listener)

    def _ignore(self, reserved: _Reserved) -> None:
        loop = asyncio.get_running_loop()
        for listener in reserved.listeners.values():
            loop.remove_reader(listener.fileno())


def _reset(listener: socket.socket) -> None:
    """As where nobody listens, though a moment later: the connection is reset."""
    with suppress(OSError):
        for _ in range(_AT_ONCE):
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()


def _discard(listener: socket.socket) -> None:
    with suppress(OSError):
        for _ in range(_AT_ONCE):
            listener.recv(_DATAGRAM_BYTES)
