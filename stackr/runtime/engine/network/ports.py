"""Published ports: take them on the host, and say what the firewall forwards.

A port is taken by a real socket that listens on it and is held while it is published, so that a
clash with any process is found at once and none can slip in later. It is bound here, and held by
the relay, which goes on while no daemon runs (`publisher.py`).
"""

from __future__ import annotations

import errno
import logging
import random
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from stackr.errors import (
    Conflict,
    Internal,
    InvalidArgument,
    NotSupported,
    StackrError,
    Unavailable,
)
from stackr.runtime.engine.linux import descriptors
from stackr.runtime.engine.network.firewall import Forwarding
from stackr.runtime.engine.network.types import Endpoint, Publication, PublishedPort

__all__ = [
    "IN_USE",
    "BindFailure",
    "HeldPort",
    "Holding",
    "HostPorts",
    "Key",
    "Listener",
    "Take",
    "check_protocol",
    "check_publication",
    "forwardings",
    "host_addresses",
    "listen_on",
]

_log = logging.getLogger(__name__)
_BACKLOG = 128
_SOCKETS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_FEW = 64
_SPARE = 256
IN_USE = (errno.EADDRINUSE, errno.EACCES)


def _nobody() -> None:
    """A socket of its own goes back to nobody."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket on one host address and port. closed: to be called once that is given up.

    is_reserved: who reserved it has a duplicate.
    """

    socket: socket.socket
    closed: Callable[[], None] = _nobody
    is_reserved: bool = False


Take = Callable[[str, Sequence[str], str, int], Mapping[str, Listener] | None]
"""(project, host addresses, protocol, port) -> what is reserved there for the project, or None."""


def _nothing_reserved(*_: object) -> None:
    return None


Key = tuple[str, str, int]
"""(protocol, host address, host port): what only one container can have."""


@dataclass(frozen=True, slots=True)
class HeldPort:
    """One published host address and port.

    socket: what was bound, until the relay has it (`detach`). Where a restarted engine found
    somebody else there, nobody has one; the kernel forwards even so.
    """

    published: PublishedPort
    socket: socket.socket | None = None
    closed: Callable[[], None] = _nobody
    is_reserved: bool = False

    @property
    def key(self) -> Key:
        return _key(self.published)

    @property
    def is_here(self) -> bool:
        """Whether the socket is this process's still."""
        return self.socket is not None and self.socket.fileno() >= 0

    def close(self) -> None:
        """Give it up here."""
        if self.socket is not None:
            self.socket.close()
        self.closed()


@dataclass(frozen=True, slots=True)
class Holding:
    """ports: all that a container has; fresh: those among them that no other container had."""

    ports: tuple[HeldPort, ...] = ()
    fresh: tuple[HeldPort, ...] = ()


def check_publication(binding: Publication) -> None:
    """Raises InvalidArgument or NotSupported."""
    check_protocol(binding.protocol, binding.container_port)
    numbers = (binding.container_port, binding.host_port, binding.host_port_end)
    if not all(0 <= number <= 65535 for number in numbers) or binding.container_port == 0:
        raise InvalidArgument(f"invalid port: {binding.host_port}:{binding.container_port}")
    if binding.host_port_end and binding.host_port_end < binding.host_port:
        raise InvalidArgument(f"invalid port range: {binding.host_port}-{binding.host_port_end}")
    if binding.host_ip:
        try:
            ip_address(binding.host_ip)
        except ValueError as error:
            raise InvalidArgument(f"invalid IP address: {binding.host_ip}") from error


def check_protocol(protocol: str, port: int) -> None:
    """Raises NotSupported for one that the host cannot listen with, InvalidArgument for none."""
    if protocol not in _SOCKETS:
        raise InvalidArgument(f"ports: {port}/{protocol}: the protocol is not tcp, udp or sctp")
    if protocol != "sctp":
        return
    try:
        _socket(protocol, socket.AF_INET).close()  # the kernel loads its module by that
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotSupported(
            f"ports: {port}/sctp: the host's kernel has no SCTP: {reason}",
            hint="load its module (modprobe sctp), or publish the port as tcp or udp",
        ) from error


def _socket(protocol: str, family: int) -> socket.socket:
    kind, number = _SOCKETS[protocol]
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, number)


def forwardings(endpoint: Endpoint, ports: Iterable[PublishedPort]) -> list[Forwarding]:
    """What the kernel forwards: ports on IPv4 addresses. The relay serves the others."""
    return [
        Forwarding(
            protocol=port.protocol,
            host_ip="" if port.host_ip == "0.0.0.0" else port.host_ip,
            host_port=port.host_port,
            container_ip=endpoint.ipv4_address,
            container_port=port.container_port,
        )
        for port in ports
        if ":" not in port.host_ip
    ]


class HostPorts:
    """Takes host ports. ephemeral: first and last port that may be chosen by the engine.

    take: looks first whether a port is reserved for the container's project. relayed: the ports
    that the relay has.
    """

    def __init__(
        self,
        ephemeral: tuple[int, int],
        take: Take = _nothing_reserved,
        relayed: Collection[Key] = (),
    ) -> None:
        self._first, self._last = ephemeral
        self._take = take
        self._relayed = relayed
        # Not from the first on: a port that was just given up may still have clients.
        self._next = random.randint(self._first, self._last)

    def hold(
        self,
        bindings: Sequence[Publication],
        endpoint: Endpoint,
        default_host_ip: str = "",
        *,
        project: str = "",
        others: Iterable[HeldPort] = (),
    ) -> Holding:
        """All of the bindings, or none. Raises Conflict that names the port, Unavailable.

        others: of the container whose place it takes; what fits of these is used, and stays
        as it is until the caller moves it.
        """
        self._check_room(2 * len(bindings), endpoint)
        free = {port.key: port for port in others}
        ports: list[HeldPort] = []
        fresh: list[HeldPort] = []
        try:
            for binding in bindings:
                taken = self._hold_one(binding, endpoint, default_host_ip, project, free)
                ports += taken
                fresh += [port for port in taken if free.pop(port.key, None) is None]
        except OSError as error:
            _close(fresh)
            raise Internal(f"ports: {error.strerror or error}") from error
        except StackrError:
            _close(fresh)
            raise
        return Holding(tuple(ports), tuple(fresh))

    def hold_again(
        self, ports: Iterable[PublishedPort], endpoint: Endpoint, *, project: str = ""
    ) -> Holding:
        """After a restart: the ports that are recorded, from the relay where it has them.

        What cannot be had is logged; the kernel's forwarding does not depend on the sockets.
        """
        held: list[HeldPort] = []
        failures: list[BindFailure] = []
        by_port: dict[tuple[str, int], list[PublishedPort]] = {}
        for port in ports:
            by_port.setdefault((port.protocol, port.host_port), []).append(port)
        for (protocol, number), published in by_port.items():
            hosts = [port.host_ip for port in published]
            listeners = dict(self._take(project, hosts, protocol, number) or {})
            for port in published:
                if _key(port) in self._relayed:
                    held.append(_relayed(listeners.get(port.host_ip), port))
                    continue
                try:
                    listener = listeners.get(port.host_ip) or _one(port)
                except BindFailure as error:
                    failures.append(error)
                    listener = None
                held.append(_held(listener, port))
        if failures:
            _log.warning("container %s: %s", endpoint.container_name, _not_held(failures))
        return Holding(tuple(held), tuple(held))

    def _check_room(self, wanted: int, endpoint: Endpoint) -> None:
        """Raise Unavailable for more sockets than this process can bind, or the relay hold."""
        if wanted <= _FEW:
            return
        room = min(descriptors.free(), descriptors.limit() - len(self._relayed)) - _SPARE
        if wanted > room:
            raise Unavailable(
                f"ports: container {endpoint.container_name}: {wanted} sockets are more than there"
                f" is room for: the limit of open files is {descriptors.limit()}",
                hint="raise the engine's hard limit (ulimit -Hn, or LimitNOFILE= of systemd)",
            )

    def _hold_one(
        self,
        binding: Publication,
        endpoint: Endpoint,
        default_host_ip: str,
        project: str,
        others: Mapping[Key, HeldPort],
    ) -> list[HeldPort]:
        host_ip = binding.host_ip or default_host_ip
        hosts = host_addresses(host_ip)
        failure = BindFailure(host_ip, 0, OSError(errno.EADDRINUSE, "all ports are allocated"))
        for port in self._candidates(binding, others.values()):
            try:
                return self._hold_on(hosts, port, binding, endpoint, project, others)
            except BindFailure as error:
                failure = error
                if error.reason.errno not in IN_USE:
                    break
        raise _clash(binding, endpoint, failure)

    def _hold_on(
        self,
        hosts: Sequence[str],
        host_port: int,
        binding: Publication,
        endpoint: Endpoint,
        project: str,
        others: Mapping[Key, HeldPort],
    ) -> list[HeldPort]:
        """The port on each of the addresses, another container's or a new one.

        Raises BindFailure, and holds none.
        """
        published = {
            host: PublishedPort(binding.container_port, binding.protocol, host, host_port)
            for host in hosts
        }
        held = [
            replace(other, published=published[host])
            for host in hosts
            if (other := others.get((binding.protocol, host, host_port))) is not None
        ]
        missing = [host for host in hosts if (binding.protocol, host, host_port) not in others]
        if missing:
            listeners = self._listeners(
                missing, binding.protocol, host_port, project, is_rest=bool(held)
            )
            held += [_held(listener, published[host]) for host, listener in listeners.items()]
        return held

    def _listeners(
        self, hosts: Sequence[str], protocol: str, port: int, project: str, *, is_rest: bool
    ) -> Mapping[str, Listener]:
        """is_rest: other addresses of the same binding are held already."""
        reserved = self._take(project, hosts, protocol, port)
        if reserved is not None:
            return reserved
        sockets = listen_on(hosts, protocol, port, is_rest=is_rest)
        return {host: Listener(listener) for host, listener in sockets.items()}

    def _candidates(self, binding: Publication, others: Iterable[HeldPort]) -> Iterator[int]:
        """The port that the other container has for this one, before any other."""
        first, last = binding.host_port, max(binding.host_port, binding.host_port_end)
        for other in others:
            published = other.published
            is_alike = (published.container_port, published.protocol) == (
                binding.container_port,
                binding.protocol,
            )
            if is_alike and (not first or first <= published.host_port <= last):
                yield published.host_port
        if first:
            yield from range(first, last + 1)
            return
        for _ in range(self._first, self._last + 1):
            port = self._next
            self._next = port + 1 if port < self._last else self._first
            yield port


class BindFailure(Exception):
    """One host address and port could not be bound."""

    def __init__(self, host: str, port: int, reason: OSError) -> None:
        super().__init__(host, port, reason)
        self.host = host
        self.port = port
        self.reason = reason


def host_addresses(host_ip: str) -> list[str]:
    """What to listen on for a binding's address; "" is every address, IPv4 and IPv6."""
    return [str(ip_address(host_ip))] if host_ip else ["0.0.0.0", "::"]


def listen_on(
    hosts: Sequence[str], protocol: str, port: int, *, is_rest: bool = False
) -> dict[str, socket.socket]:
    """A listener on each of the addresses, or a BindFailure and none.

    Of "every address", IPv6 is left out on a host without it. is_rest: the first is held already.
    """
    listeners: dict[str, socket.socket] = {}
    for host in hosts:
        try:
            listeners[host] = _listen(protocol, host, port)
        except OSError as error:
            if host == "::" and (listeners or is_rest) and _without_ipv6(error):
                continue
            for listener in listeners.values():
                listener.close()
            raise BindFailure(host, port, error) from error
    return listeners


def _one(port: PublishedPort) -> Listener:
    """Raises BindFailure."""
    sockets = listen_on([port.host_ip], port.protocol, port.host_port)
    return Listener(sockets[port.host_ip])


def _not_held(failures: Sequence[BindFailure]) -> str:
    first = failures[0]
    more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"port {first.host}:{first.port}{more}: not held: {first.reason}"


def _listen(protocol: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = _socket(protocol, family)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # Past connections in TIME_WAIT do not matter; another's listener still clashes.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        if protocol != "udp":
            listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _key(port: PublishedPort) -> Key:
    return port.protocol, port.host_ip, port.host_port


def _held(listener: Listener | None, port: PublishedPort) -> HeldPort:
    if listener is None:
        return HeldPort(port)
    return HeldPort(port, listener.socket, listener.closed, listener.is_reserved)


def _relayed(listener: Listener | None, port: PublishedPort) -> HeldPort:
    """The relay has the socket. listener: of the same one, where it is reserved."""
    if listener is None:
        return HeldPort(port)
    listener.socket.close()
    return HeldPort(port, None, listener.closed, listener.is_reserved)


def _close(held: Iterable[HeldPort]) -> None:
    for port in held:
        port.close()


def _without_ipv6(error: OSError) -> bool:
    return error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _clash(binding: Publication, endpoint: Endpoint, failure: BindFailure) -> Conflict:
    """Docker's text, down to the address that failed."""
    subject = (
        "driver failed programming external connectivity on endpoint "
        f"{endpoint.container_name} ({endpoint.endpoint_id})"
    )
    reason = failure.reason
    if not binding.host_port and reason.errno in IN_USE:
        return Conflict(f"{subject}: all ports are allocated")
    text = str(reason.strerror or reason).lower()
    if reason.errno == errno.EADDRINUSE:
        text = "address already in use"
    shown = f"[{failure.host}]" if ":" in failure.host else failure.host
    target = f"{endpoint.ipv4_address}:{binding.container_port}/{binding.protocol}"
    return Conflict(
        f"{subject}: failed to bind host port for {shown}:{failure.port}:{target}: {text}"
    )
