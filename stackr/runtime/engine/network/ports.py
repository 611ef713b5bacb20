"""Published ports: take them on the host, and say what the firewall forwards.

A port is taken by a real socket that listens on it and is held while it is published, so that a
clash with any process is found at once and none can slip in later. A container that takes another's
place gets the other's sockets, so that the ports are never free between the two.
"""

from __future__ import annotations

import errno
import logging
import random
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from stackr.errors import Conflict, Internal, InvalidArgument, NotSupported, StackrError
from stackr.runtime.engine.network.firewall import Forwarding
from stackr.runtime.engine.network.relay import Relay, TcpRelay, UdpRelay
from stackr.runtime.engine.network.types import Endpoint, PortBinding, PublishedPort

__all__ = ["HeldPort", "Holding", "HostPorts", "check_binding", "forwardings"]

_log = logging.getLogger(__name__)
_BACKLOG = 128
_IN_USE = (errno.EADDRINUSE, errno.EACCES)


_Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class HeldPort:
    """One published host address and port, and who listens on it.

    relay: None where a restarted engine found somebody else there; the kernel forwards even so.
    """

    published: PublishedPort
    relay: Relay | None

    @property
    def key(self) -> _Key:
        """What only one container can have."""
        return self.published.protocol, self.published.host_ip, self.published.host_port

    async def start(self) -> None:
        if self.relay is not None:
            await self.relay.start()

    def close(self) -> None:
        if self.relay is not None:
            self.relay.close()


@dataclass(frozen=True, slots=True)
class Holding:
    """ports: all that a container has; fresh: those among them that no other container had."""

    ports: tuple[HeldPort, ...] = ()
    fresh: tuple[HeldPort, ...] = ()


def check_binding(binding: PortBinding) -> None:
    """Raises InvalidArgument or NotSupported."""
    if binding.protocol not in ("tcp", "udp"):
        raise NotSupported(f"ports: protocol is not supported: {binding.protocol}")
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
    """Takes host ports. ephemeral: first and last port that may be chosen by the engine."""

    def __init__(self, ephemeral: tuple[int, int]) -> None:
        self._first, self._last = ephemeral
        # Not from the first on: a port that was just given up may still have clients.
        self._next = random.randint(self._first, self._last)

    def hold(
        self,
        bindings: Sequence[PortBinding],
        endpoint: Endpoint,
        default_host_ip: str = "",
        *,
        others: Iterable[HeldPort] = (),
    ) -> Holding:
        """All of the bindings, or none. Raises Conflict that names the port.

        others: of the container whose place it takes; what fits of these is used, and stays
        as it is until the caller moves it.
        """
        free = {port.key: port for port in others}
        ports: list[HeldPort] = []
        fresh: list[HeldPort] = []
        try:
            for binding in bindings:
                taken = self._hold_one(binding, endpoint, default_host_ip, free)
                ports += taken
                fresh += [port for port in taken if free.pop(port.key, None) is None]
        except OSError as error:
            _close(fresh)
            raise Internal(f"ports: {error.strerror or error}") from error
        except StackrError:
            _close(fresh)
            raise
        return Holding(tuple(ports), tuple(fresh))

    def hold_again(self, ports: Iterable[PublishedPort], endpoint: Endpoint) -> Holding:
        """After a restart: the ports that are recorded."""
        held = tuple(_held_again(port, endpoint) for port in ports)
        return Holding(held, held)

    def _hold_one(
        self,
        binding: PortBinding,
        endpoint: Endpoint,
        default_host_ip: str,
        others: Mapping[_Key, HeldPort],
    ) -> list[HeldPort]:
        host_ip = binding.host_ip or default_host_ip
        hosts = [str(ip_address(host_ip))] if host_ip else ["0.0.0.0", "::"]
        failure = _Failure(host_ip, 0, OSError(errno.EADDRINUSE, "all ports are allocated"))
        for port in self._candidates(binding, others.values()):
            try:
                return _hold_on(hosts, port, binding, endpoint, others)
            except _Failure as error:
                failure = error
                if error.reason.errno not in _IN_USE:
                    break
        raise _clash(binding, endpoint, failure)

    def _candidates(self, binding: PortBinding, others: Iterable[HeldPort]) -> Iterator[int]:
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


class _Failure(Exception):
    """One host address and port could not be bound."""

    def __init__(self, host: str, port: int, reason: OSError) -> None:
        super().__init__(host, port, reason)
        self.host = host
        self.port = port
        self.reason = reason


def _hold_on(
    hosts: Sequence[str],
    host_port: int,
    binding: PortBinding,
    endpoint: Endpoint,
    others: Mapping[_Key, HeldPort],
) -> list[HeldPort]:
    """The port on each of the addresses, another container's or a new one; or a _Failure and none.

    Of "every address", IPv6 is left out on a host without it.
    """
    held: list[HeldPort] = []
    fresh: list[HeldPort] = []
    for host in hosts:
        published = PublishedPort(binding.container_port, binding.protocol, host, host_port)
        other = others.get((published.protocol, host, host_port))
        if other is not None:
            held.append(replace(other, published=published))
            continue
        try:
            listener = _listen(published.protocol, host, host_port)
        except OSError as error:
            if host == "::" and held and _without_ipv6(error):
                continue
            _close(fresh)
            raise _Failure(host, host_port, error) from error
        fresh.append(HeldPort(published, _relay(listener, published, endpoint)))
        held.append(fresh[-1])
    return held


def _held_again(port: PublishedPort, endpoint: Endpoint) -> HeldPort:
    try:
        listener = _listen(port.protocol, port.host_ip, port.host_port)
    except OSError as error:
        _log.warning("port %s:%d is not held: %s", port.host_ip, port.host_port, error)
        return HeldPort(port, None)
    return HeldPort(port, _relay(listener, port, endpoint))


def _listen(protocol: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    listener = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # Past connections in TIME_WAIT do not matter; another's listener still clashes.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        if protocol == "tcp":
            listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _relay(listener: socket.socket, port: PublishedPort, endpoint: Endpoint) -> Relay:
    target = (endpoint.ipv4_address, port.container_port)
    return TcpRelay(listener, target) if port.protocol == "tcp" else UdpRelay(listener, target)


def _close(held: Iterable[HeldPort]) -> None:
    for port in held:
        port.close()


def _without_ipv6(error: OSError) -> bool:
    return error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _clash(binding: PortBinding, endpoint: Endpoint, failure: _Failure) -> Conflict:
    """Docker's text, down to the address that failed."""
    subject = (
        "driver failed programming external connectivity on endpoint "
        f"{endpoint.container_name} ({endpoint.endpoint_id})"
    )
    reason = failure.reason
    if not binding.host_port and reason.errno in _IN_USE:
        return Conflict(f"{subject}: all ports are allocated")
    text = str(reason.strerror or reason).lower()
    if reason.errno == errno.EADDRINUSE:
        text = "address already in use"
    shown = f"[{failure.host}]" if ":" in failure.host else failure.host
    target = f"{endpoint.ipv4_address}:{binding.container_port}/{binding.protocol}"
    return Conflict(
        f"{subject}: failed to bind host port for {shown}:{failure.port}:{target}: {text}"
    )
