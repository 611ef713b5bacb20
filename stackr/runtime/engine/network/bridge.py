"""The bridge of a network: the interface, its gateway addresses, its settings in the kernel.

Everything here blocks and runs on the kernel thread. Doing it again changes nothing, so the next
start finishes what a crash left half done. `net.ipv4.ip_forward` is switched on, as dockerd does,
and stays on.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Collection, Mapping
from ipaddress import (
    IPv4Interface,
    IPv6Interface,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path

from stackr.errors import Conflict, Internal, InvalidArgument, NotSupported
from stackr.runtime.engine.linux import netlink
from stackr.runtime.engine.linux.netns import read_sysctl, write_sysctl
from stackr.runtime.engine.network.firewall import BridgeRules
from stackr.runtime.engine.network.guard import guard_bridge, is_bridge_guarded
from stackr.runtime.engine.network.kernel import Host
from stackr.runtime.engine.network.types import Fault, Network, NetworkSpec
from stackr.text import whole_number

__all__ = [
    "allows_communication",
    "bridge_name",
    "bridge_rules",
    "check_options",
    "faults",
    "flag_options",
    "host_ip_of",
    "interface_prefix_of",
    "is_there",
    "mtu_of",
    "mtu_option",
    "realise",
    "remove",
    "restore_routes",
    "sweep",
]

_OWN = "com.docker.network."
_NAME = "com.docker.network.bridge.name"
_ICC = "com.docker.network.bridge.enable_icc"
_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
_HOST_IP = "com.docker.network.bridge.host_binding_ipv4"
_MTU = "com.docker.network.driver.mtu"
_PREFIX = "com.docker.network.container_iface_prefix"
_GATEWAY_MODES = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)
_INTERFACE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_DEFAULT_MTU = 1500
_log = logging.getLogger(__name__)


def check_options(spec: NetworkSpec) -> None:
    """Raises NotSupported for an option of Docker's that is not honoured, InvalidArgument for a bad
    value. What is somebody else's is a note, as with dockerd.
    """
    for key, value in spec.options.items():
        if key in _GATEWAY_MODES:
            if value not in ("", "nat"):
                raise NotSupported(f'network "{spec.name}": {key}={value}: only nat is supported')
        elif key in (_ICC, _MASQUERADE):
            _flag(spec.options, key)
        elif key == _MTU:
            mtu_of(spec)
        elif key in (_NAME, _PREFIX):
            if not _INTERFACE_NAME.fullmatch(value) or value in (".", "..", "all", "default", "lo"):
                raise InvalidArgument(f"invalid interface name {value!r} in {key}")
        elif key == _HOST_IP:
            host_ip_of(spec)
        elif key.startswith(_OWN):
            raise NotSupported(f'network "{spec.name}": driver option is not supported: {key}')


def _flag(options: Mapping[str, str], key: str) -> bool:
    value = options.get(key, "true").lower()
    if value in ("", "1", "t", "true"):
        return True
    if value in ("0", "f", "false"):
        return False
    raise InvalidArgument(f"invalid value {value!r} in {key}: not true or false")


def mtu_of(spec: NetworkSpec) -> int:
    """In bytes."""
    value = spec.options.get(_MTU, str(_DEFAULT_MTU))
    number = whole_number(value, most=65535)
    if number is None or number < 68:
        raise InvalidArgument(f"invalid value {value!r} in {_MTU}: not between 68 and 65535")
    return number


def mtu_option(mtu: int) -> Mapping[str, str]:
    """A bridge's options where its packets have another size than the usual one."""
    return {} if mtu == _DEFAULT_MTU else {_MTU: str(mtu)}


def flag_options(*, icc: bool, masquerade: bool, host_ip: str) -> Mapping[str, str]:
    """A bridge's options where they are not the usual ones; the last is "" for all addresses."""
    found = {} if icc else {_ICC: "false"}
    found |= {} if masquerade else {_MASQUERADE: "false"}
    return found if host_ip in ("", "0.0.0.0") else {**found, _HOST_IP: host_ip}


def host_ip_of(spec: NetworkSpec) -> str:
    """The host address of ports that are published without one; "" for all."""
    value = spec.options.get(_HOST_IP, "")
    try:
        return str(ip_address(value)) if value else ""
    except ValueError as error:
        raise InvalidArgument(f"invalid value {value!r} in {_HOST_IP}: no IP address") from error


def interface_prefix_of(spec: NetworkSpec) -> str:
    return spec.options.get(_PREFIX, "eth")


def bridge_name(network_id: str, spec: NetworkSpec) -> str:
    return spec.options.get(_NAME) or f"sk-{network_id[:12]}"


def allows_communication(network: Network) -> bool:
    """Whether its containers may reach each other."""
    return _flag(network.spec.options, _ICC)


def bridge_rules(network: Network) -> BridgeRules:
    return BridgeRules(
        bridge=network.bridge,
        subnets=tuple(pool.subnet for pool in network.spec.pools),
        gateways=tuple(pool.gateway for pool in network.spec.pools),
        internal=network.spec.internal,
        icc=allows_communication(network),
        masquerade=_flag(network.spec.options, _MASQUERADE),
    )


def _gateways(network: Network) -> list[IPv4Interface | IPv6Interface]:
    return [
        ip_interface(f"{pool.gateway}/{ip_network(pool.subnet).prefixlen}")
        for pool in network.spec.pools
    ]


def _mac(network: Network) -> str:
    """Fixed from the start: a bridge without one takes its ports', and changes with them."""
    return ":".join(("02", "42", *(network.id[i : i + 2] for i in range(0, 8, 2))))


def realise(host: Host, network: Network, owner: str) -> bool:
    """Make the bridge, or complete it. owner: the alias that marks our bridges.

    Returns whether the bridge is guarded: a kernel may be without the filters of `guard.py`.
    Raises Conflict where another's interface has the name, Internal where the kernel refuses.
    """
    name, route = network.bridge, host.route
    created, *_ = route.send(
        [netlink.new_bridge(name, mac=_mac(network), mtu=mtu_of(network.spec))]
    )
    if created is not None:
        _check_ours(route, network, owner, created)
    try:
        route.check([netlink.set_link(name, alias=owner)])
        index = socket.if_nametoindex(name)
        is_guarded = _guard(host, network, index)
        for key, value in _settings(network, routes_loopback=is_guarded):
            write_sysctl(key, value)
        route.check([netlink.add_address(index, gateway) for gateway in _gateways(network)])
    except (OSError, NotSupported) as error:
        if created is None:
            remove(host, [name])
        if isinstance(error, OSError):
            raise _refused(network, error) from error
        raise
    return is_guarded


def _guard(host: Host, network: Network, index: int) -> bool:
    try:
        guard_bridge(host.route, index, bridge_rules(network))
    except netlink.NetlinkError as error:
        _log.warning(
            "bridge %s: the kernel has no such filters (NET_SCH_INGRESS, NET_CLS_BPF), so that its"
            " isolation depends on the firewall alone: %s",
            network.bridge,
            error.strerror,
        )
        return False
    return True


def _refused(network: Network, error: OSError) -> Internal:
    reason = error.strerror or error
    return Internal(f'network "{network.name}": bridge {network.bridge}: {reason}')


def _check_ours(
    route: netlink.RouteSocket, network: Network, owner: str, error: netlink.NetlinkError
) -> None:
    name = network.bridge
    existing = route.link(name)
    if existing is None:
        raise _refused(network, error) from error
    # A crash between the bridge and its alias leaves the alias empty, but the MAC address ours.
    is_unfinished = existing.alias == "" and existing.mac == _mac(network)
    if existing.kind != "bridge" or not (existing.alias == owner or is_unfinished):
        raise Conflict(f"interface {name} exists already, and does not belong to this engine")


def _settings(network: Network, *, routes_loopback: bool) -> list[tuple[str, str]]:
    has_ipv6 = any(":" in pool.subnet for pool in network.spec.pools)
    settings = [
        ("net/ipv4/ip_forward", "1"),
        # Answers to the host's own 127.0.0.1, for ports published there; only behind the guard.
        (f"net/ipv4/conf/{network.bridge}/route_localnet", "1" if routes_loopback else "0"),
    ]
    if _has_ipv6(network.bridge) or (has_ipv6 and _has_ipv6()):
        settings += [
            (f"net/ipv6/conf/{network.bridge}/accept_ra", "0"),
            (f"net/ipv6/conf/{network.bridge}/disable_ipv6", "0" if has_ipv6 else "1"),
        ]
        if has_ipv6 and not network.spec.internal:
            settings.append(("net/ipv6/conf/all/forwarding", "1"))
    elif has_ipv6:
        raise NotSupported(f'network "{network.name}": IPv6 is switched off on this host')
    return settings


def _has_ipv6(bridge: str = "") -> bool:
    """Whether the host speaks it, by a bridge: the kernel has none below an MTU of 1,280."""
    return Path("/proc/sys/net/ipv6/conf", bridge).exists()


def is_there(host: Host, network: Network) -> bool:
    try:
        socket.if_nametoindex(network.bridge)
    except OSError:
        return False
    return True


def faults(host: Host, network: Network, owner: str, *, is_guarded: bool) -> list[Fault]:
    """What the bridge is not as it was made. is_guarded: by filters, which the kernel has."""
    link = host.route.link(network.bridge)
    if link is None:
        return [Fault("bridge", "missing", network.bridge)]
    if link.kind != "bridge" or link.alias != owner:
        return [Fault("bridge", "another's interface", network.bridge)]
    found = [] if link.is_up else [Fault("bridge", "down", network.bridge)]
    missing = {*_gateways(network)} - host.route.addresses(link.index)
    found += [Fault("gateway", "missing", str(each.ip)) for each in sorted(missing, key=str)]
    if not found:  # else they come with the address
        lost = _without_route(host, network, link.index)
        found += [Fault("route", "missing", str(each.network)) for each in lost]
    if is_guarded and not is_bridge_guarded(host.route, link.index, bridge_rules(network)):
        found.append(Fault("bridge", "without its filters", network.bridge))
    for key, value in _settings(network, routes_loopback=is_guarded):
        if (read := _read(key)) != value:
            found.append(Fault(key.replace("/", "."), read, value))
    return found


def _read(key: str) -> str:
    try:
        return read_sysctl(key)
    except FileNotFoundError:
        return "missing"


def restore_routes(host: Host, network: Network) -> None:
    """Make those to the network's subnets again, which the kernel makes with the address alone."""
    index = socket.if_nametoindex(network.bridge)
    if lost := _without_route(host, network, index):
        host.route.check([netlink.add_subnet_route(index, gateway) for gateway in lost])


def _without_route(host: Host, network: Network, index: int) -> list[IPv4Interface]:
    """The IPv4 gateways to whose subnets no route of the host's leads by the bridge."""
    led = host.route.subnets(index)
    gateways = (each for each in _gateways(network) if isinstance(each, IPv4Interface))
    return [gateway for gateway in gateways if gateway.network not in led]


def remove(host: Host, names: Collection[str]) -> None:
    """Delete bridges, and what is left of veth pairs; one that is not there is no error."""
    for outcome in host.route.send([netlink.delete_link(name) for name in names]):
        if outcome is not None and not netlink.is_missing(outcome):
            raise Internal(f"networks: interface cannot be deleted: {outcome.strerror}")


def sweep(host: Host, owner: str, bridges: Collection[str], veths: Collection[str]) -> list[str]:
    """Delete our bridges and their veth pairs that nothing refers to; returns their names."""
    links = host.route.links()
    ours = {link.index: link for link in links if link.kind == "bridge" and link.alias == owner}
    stale = [link.name for link in ours.values() if link.name not in bridges]
    stale += [
        link.name
        for link in links
        if link.kind == "veth" and link.master in ours and link.name not in veths
    ]
    remove(host, stale)
    return stale
