"""Plug a running container into bridges: veth pairs, addresses and routes in its namespace.

Everything here blocks and runs on the kernel thread, which may visit other namespaces. The pair's
far end is born in the container's namespace; when that ends, the kernel frees both ends.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_interface
from pathlib import Path

from stackr.errors import Conflict, Internal, InvalidArgument
from stackr.runtime.engine.linux import netlink, netns
from stackr.runtime.engine.linux.nftables import NftError
from stackr.runtime.engine.network.direct import Place
from stackr.runtime.engine.network.endpoint_options import endpoint_sysctls
from stackr.runtime.engine.network.guard import guard_port, is_port_guarded
from stackr.runtime.engine.network.kernel import Host
from stackr.runtime.engine.network.types import Endpoint, Fault

__all__ = [
    "DnsSockets",
    "Plug",
    "check_interface_name",
    "check_link_local",
    "check_mac",
    "default_gateways",
    "host_interface",
    "mac_of",
    "open_dns_sockets",
    "pair_faults",
    "plug",
    "replug",
    "unplug",
]

DNS_ADDRESS = "127.0.0.11"
_DNS_TABLE = "stackr_dns"
_DNS_BACKLOG = 32
# Answers find their way back by connection tracking. The ports are random, so that the container
# may bind port 53 of every address itself.
_DNS_RULES = """\
table ip {table} {{
	chain output {{
		type nat hook output priority -100; policy accept;
		ip daddr {address} udp dport 53 dnat to {address}:{udp}
		ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
	}}
}}
"""
_DNS_PORT = re.compile(r"(udp|tcp) dport \S+ dnat to [\d.]+:(\d+)")


@dataclass(frozen=True, slots=True)
class Plug:
    """One endpoint as the kernel needs it; `bridge` is the interface's name.

    place: of one that is on one of the host's links by itself, and has no pair.
    """

    endpoint: Endpoint
    bridge: str
    mtu: int
    isolated: bool = False
    is_guarded: bool = True
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class DnsSockets:
    """Bound to 127.0.0.11 in the container's namespace; non-blocking."""

    udp: socket.socket
    tcp: socket.socket

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()


def host_interface(endpoint_id: str) -> str:
    """The name of a pair's end on the host."""
    return f"skv{endpoint_id[:12]}"


def mac_of(address: str) -> str:
    """Docker's MAC address for an IPv4 address: the same address keeps its MAC."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + IPv4Address(address).packed)


def check_mac(text: str) -> str:
    """The canonical form; raises InvalidArgument."""
    parts = text.replace("-", ":").lower().split(":")
    if len(parts) != 6 or not all(len(p) == 2 and p.isalnum() for p in parts):
        raise InvalidArgument(f"invalid MAC address: {text}")
    try:
        first, *_ = (int(part, 16) for part in parts)
    except ValueError as error:
        raise InvalidArgument(f"invalid MAC address: {text}") from error
    if first & 1:
        raise InvalidArgument(f"invalid MAC address: {text}: is a multicast address")
    return ":".join(parts)


def check_link_local(addresses: Iterable[str]) -> None:
    """Raises InvalidArgument for what is no link-local address."""
    for text in addresses:
        try:
            is_link_local = ip_address(text).is_link_local
        except ValueError:
            is_link_local = False
        if not is_link_local:
            raise InvalidArgument(f"invalid link-local IP address: {text}")


def default_gateways(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """The endpoints that give the default routes: one for IPv4, one for IPv6, often the same.

    The highest priority wins, then the first network by name. Source: Docker's `gw-priority`.
    """
    ranked = sorted(endpoints, key=lambda e: (-e.spec.gw_priority, e.network_name))
    first4 = next((e for e in ranked if e.gateway), None)
    first6 = next((e for e in ranked if e.ipv6_gateway), None)
    return [endpoint for endpoint in (first4, first6) if endpoint is not None]


def _addresses(endpoint: Endpoint) -> list[IPv4Interface | IPv6Interface]:
    texts = []
    if endpoint.ipv4_address:
        texts.append(f"{endpoint.ipv4_address}/{endpoint.ipv4_prefix_length}")
    if endpoint.ipv6_address:
        texts.append(f"{endpoint.ipv6_address}/{endpoint.ipv6_prefix_length}")
    texts += [f"{ip}/64" if ":" in ip else f"{ip}/16" for ip in endpoint.spec.link_local_ips]
    return [ip_interface(text) for text in texts]


def _pairs(plugs: Sequence[Plug], namespace: int) -> list[bytes]:
    messages = []
    for plug in plugs:
        if plug.place is not None:
            messages.append(_direct(plug, plug.place, namespace))
            continue
        name = host_interface(plug.endpoint.endpoint_id)
        messages.append(
            netlink.new_veth(
                name,
                bridge=socket.if_nametoindex(plug.bridge),
                mtu=plug.mtu,
                peer=plug.endpoint.interface,
                peer_mac=plug.endpoint.mac_address,
                peer_netns=namespace,
            )
        )
        messages.append(netlink.set_bridge_port(name, hairpin=True, isolated=plug.isolated))
    return messages


def _direct(plug: Plug, place: Place, namespace: int) -> bytes:
    return netlink.new_direct(
        plug.endpoint.interface,
        driver=place.driver,
        link=socket.if_nametoindex(place.link),
        mode=place.mode,
        mac=plug.endpoint.mac_address,
        mtu=place.mtu,
        netns=namespace,
    )


def _settings(plugs: Sequence[Plug], indexes: dict[str, int]) -> list[bytes]:
    messages = [netlink.set_link("lo")]
    for plug in plugs:
        index = indexes[plug.endpoint.interface]
        messages += [netlink.add_address(index, a) for a in _addresses(plug.endpoint)]
        messages.append(netlink.set_link(plug.endpoint.interface))
    return messages


def _routes(endpoints: Sequence[Endpoint]) -> list[bytes]:
    """Default routes of all of a container's endpoints, replacing those that it has."""
    messages = []
    chosen = default_gateways(endpoints)
    first4 = next((e for e in chosen if e.gateway), None)
    first6 = next((e for e in reversed(chosen) if e.ipv6_gateway), None)
    if first4 is not None:
        index = socket.if_nametoindex(first4.interface)
        messages.append(netlink.add_default_route(index, ip_address(first4.gateway)))
    if first6 is not None:
        index = socket.if_nametoindex(first6.interface)
        messages.append(netlink.add_default_route(index, ip_address(first6.ipv6_gateway)))
    routed = next((e for e in endpoints if e.is_routed), None)
    if routed is not None:
        index = socket.if_nametoindex(routed.interface)
        if first4 is None and routed.ipv4_address:
            messages.append(netlink.add_device_route(index, socket.AF_INET))
        if first6 is None and routed.ipv6_address:
            messages.append(netlink.add_device_route(index, socket.AF_INET6))
    return messages


def plug(
    host: Host,
    pid: int,
    plugs: Sequence[Plug],
    endpoints: Sequence[Endpoint],
) -> None:
    """Make the pairs, and set their ends in the container's namespace up.

    endpoints: all that the container then has, those of the plugs
    included. Raises Internal; the caller deletes what has been made (`unplug`).
    """
    try:
        with netns.of_process(pid) as namespace:
            host.route.check(_pairs(plugs, namespace))
            _guard(host, plugs)
            with _inner(host, namespace) as inner:
                for item in plugs:
                    _switch_ipv6(item.endpoint)
                    _set_sysctls(item.endpoint)
                names = [item.endpoint.interface for item in plugs]
                indexes = {name: socket.if_nametoindex(name) for name in names}
                inner.check(_settings(plugs, indexes) + _routes(endpoints))
    except OSError as error:
        name = plugs[0].endpoint.container_name if plugs else str(pid)
        raise _refused(name, error) from error


def _guard(host: Host, plugs: Sequence[Plug]) -> None:
    """Before their far ends are up; a bridge that is not guarded does not route to 127/8."""
    for item in plugs:
        if item.is_guarded:
            name = host_interface(item.endpoint.endpoint_id)
            guard_port(host.route, socket.if_nametoindex(name))


def _switch_ipv6(endpoint: Endpoint) -> None:
    """Without an address of the network, none at all: a link-local one would only cost."""
    if Path("/proc/sys/net/ipv6").exists():
        base = f"net/ipv6/conf/{endpoint.interface}"
        netns.write_sysctl(f"{base}/disable_ipv6", "0" if endpoint.ipv6_address else "1")
        netns.write_sysctl(f"{base}/accept_ra", "0")


def _set_sysctls(endpoint: Endpoint) -> None:
    """Those that were asked for. Raises InvalidArgument where the kernel does not take one."""
    for path, value in endpoint_sysctls(endpoint.spec.driver_opts, endpoint.interface):
        try:
            netns.write_sysctl(path, value)
        except OSError as error:
            name = path.replace("/", ".")
            why = (error.strerror or "").lower()
            raise InvalidArgument(f"endpoint sysctl {name}={value}: {why}") from error


def replug(host: Host, pid: int, item: Plug, endpoints: Sequence[Endpoint]) -> None:
    """Put what is left of a running container's pair in order, or make it anew. Raises Internal."""
    name, far_end = host_interface(item.endpoint.endpoint_id), item.endpoint.interface
    link = host.route.link(name)  # none, where there is no pair: it is made anew
    try:
        with netns.of_process(pid) as namespace, _inner(host, namespace) as inner:
            is_whole = link is not None and inner.link(far_end) is not None
            if not is_whole:
                inner.send([netlink.delete_link(far_end)])
        if not is_whole:
            host.route.send([netlink.delete_link(name)])
            plug(host, pid, [item], endpoints)
            return
        host.route.check(_joining(item, socket.if_nametoindex(item.bridge)))
        _guard(host, [item])
        with netns.of_process(pid) as namespace, _inner(host, namespace) as inner:
            index = socket.if_nametoindex(far_end)
            inner.check(_settings([item], {far_end: index}) + _routes(endpoints))
    except OSError as error:
        raise _refused(item.endpoint.container_name, error) from error


def _joining(item: Plug, bridge: int) -> list[bytes]:
    name = host_interface(item.endpoint.endpoint_id)
    return [
        netlink.set_master(name, bridge),
        netlink.set_bridge_port(name, hairpin=True, isolated=item.isolated),
    ]


@contextmanager
def _inner(host: Host, namespace: int) -> Iterator[netlink.RouteSocket]:
    """Within the block, the thread is in a container's namespace, with a socket there."""
    with netns.inside(namespace, home=host.namespace), netlink.RouteSocket() as inner:
        yield inner


def _refused(container: str, error: OSError) -> Internal:
    reason = error.strerror or error
    return Internal(f'container "{container}": cannot be connected to its networks: {reason}')


def pair_faults(host: Host, pid: int, item: Plug, bridge: netlink.Link | None) -> list[Fault]:
    """What a running container's pair is not as it was made. Raises OSError where it has ended.

    bridge: the network's, if it has one that is there.
    """
    endpoint = item.endpoint
    what, wanted = f"{endpoint.container_name}.{endpoint.interface}", endpoint.ipv4_address
    if item.place is None and (found := _near_end(host, item, bridge)):
        return [Fault(what, found, wanted)]
    with netns.of_process(pid) as namespace, _inner(host, namespace) as inner:
        far_end = inner.link(endpoint.interface)
        if far_end is None:
            return [Fault(what, "missing", wanted)]
        if not far_end.is_up:
            return [Fault(what, "down", wanted)]
        missing = {*_addresses(endpoint)} - inner.addresses(far_end.index)
        return [
            Fault(what, "without its address", str(each.ip)) for each in sorted(missing, key=str)
        ]


def _near_end(host: Host, item: Plug, bridge: netlink.Link | None) -> str:
    """What the host's end of a pair is not as it was made, "" for nothing."""
    link = host.route.link(host_interface(item.endpoint.endpoint_id))
    if link is None:
        return "missing"
    if bridge is None or link.master != bridge.index:
        return "not on the bridge"
    if not link.is_up:
        return "down"
    is_bare = item.is_guarded and not is_port_guarded(host.route, link.index)
    return "without its filter" if is_bare else ""


def unplug(
    host: Host,
    pid: int,
    endpoint: Endpoint,
    remaining: Sequence[Endpoint],
) -> None:
    """Delete a running container's pair, and choose its default routes again."""
    has_pair = endpoint.driver == "bridge"
    outcome, *_ = host.route.send([netlink.delete_link(host_interface(endpoint.endpoint_id))])
    if outcome is not None and not netlink.is_missing(outcome):
        raise Internal(f"interface cannot be deleted: {outcome.strerror}") from outcome
    try:
        with netns.of_process(pid) as namespace, _inner(host, namespace) as inner:
            if not has_pair:
                inner.send([netlink.delete_link(endpoint.interface)])
            inner.check(_routes(remaining))
    except OSError as error:
        name = endpoint.container_name
        raise Internal(f'container "{name}": cannot set its routes: {error}') from error


def open_dns_sockets(host: Host, pid: int, *, again: bool) -> DnsSockets:
    """Sockets at 127.0.0.11 in the container's namespace, and the rules that lead port 53 to them.

    again: the namespace has rules of an earlier time. They stay where their ports are free again;
    to replace them takes 20 ms of the kernel's grace period. Raises Internal.
    """
    try:
        with netns.of_process(pid) as namespace, netns.inside(namespace, home=host.namespace):
            run = partial(host.nftables.run, pid=pid)
            return (_reopened(run) if again else None) or _opened(run, again=again)
    except OSError as error:
        raise Internal(f"resolver: cannot listen in the container's namespace: {error}") from error


def _reopened(run: Callable[[str], str]) -> DnsSockets | None:
    """At the ports that the rules lead to; None without rules, or where one is taken."""
    try:
        listing = run(f"list table ip {_DNS_TABLE}")
    except NftError:
        return None
    ports = {protocol: int(port) for protocol, port in _DNS_PORT.findall(listing)}
    if set(ports) != {"tcp", "udp"}:
        return None
    try:
        return _bind_dns_sockets(**ports)
    except OSError:
        return None


def _opened(run: Callable[[str], str], *, again: bool) -> DnsSockets:
    sockets = _bind_dns_sockets()
    rules = _DNS_RULES.format(
        table=_DNS_TABLE,
        address=DNS_ADDRESS,
        udp=sockets.udp.getsockname()[1],
        tcp=sockets.tcp.getsockname()[1],
    )
    clearing = f"add table ip {_DNS_TABLE}\ndelete table ip {_DNS_TABLE}\n" if again else ""
    try:
        run(clearing + rules)
    except BaseException:
        sockets.close()
        raise
    return sockets


def _bind_dns_sockets(udp: int = 0, tcp: int = 0) -> DnsSockets:
    kind = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    sockets = DnsSockets(
        udp=socket.socket(socket.AF_INET, socket.SOCK_DGRAM | kind),
        tcp=socket.socket(socket.AF_INET, socket.SOCK_STREAM | kind),
    )
    try:
        sockets.udp.bind((DNS_ADDRESS, udp))
        sockets.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT
        sockets.tcp.bind((DNS_ADDRESS, tcp))
        sockets.tcp.listen(_DNS_BACKLOG)
    except OSError:
        sockets.close()
        raise
    return sockets


def check_interface_name(name: str, taken: Iterable[str]) -> None:
    """Raises InvalidArgument for a name the kernel refuses, Conflict for one that is taken."""
    if not 0 < len(name) <= 15 or name in (".", "..", "lo") or any(c in name for c in "/: \t\n"):
        raise InvalidArgument(f"invalid interface name: {name}")
    if name in taken:
        raise Conflict(f"interface name {name} is used twice")
