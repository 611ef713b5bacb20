"""Networks without a bridge: their containers are on one of the host's links by themselves.

macvlan: each container has a MAC address there. ipvlan: all have the link's own; at layer 2 they
are in its network, at layer 3 the host's neighbours have to know the way to them. In neither do
they reach the host itself, nor it them, and no port is published: who is on that link reaches all.

Everything here but the reading of options blocks and runs on the kernel thread. What is made on the
host (the link of a network that names none, and a VLAN of one that it names) has the engine's mark.
Source: moby, drivers/macvlan and drivers/ipvlan; linux/if_link.h.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stackr.errors import Internal, InvalidArgument, NotSupported, StackrError
from stackr.runtime.engine.linux import netlink
from stackr.runtime.engine.network.bridge import mtu_of
from stackr.runtime.engine.network.kernel import Host
from stackr.runtime.engine.network.types import Network, NetworkSpec

__all__ = [
    "Place",
    "check_options",
    "has_way_out",
    "is_at_layer_3",
    "is_exclusive",
    "place_of",
    "realise",
    "remove",
    "sweep",
]

_PARENT = "parent"
_MODES: Mapping[str, Mapping[str, int]] = {
    "macvlan": {"bridge": 4, "private": 1, "vepa": 2, "passthru": 8},
    "ipvlan": {"l2": 0, "l3": 1, "l3s": 2},
}
"""By driver; the first is its default."""
_IPVLAN_FLAG = "ipvlan_flag"
_MTU = "com.docker.network.driver.mtu"
_OTHERS = ("com.docker.network.container_iface_prefix", _MTU)
_LINK = re.compile(r"[^/:\s]{1,15}")
_VLAN = re.compile(r"(?P<parent>[^/:\s]+)\.(?P<id>\d{1,4})", re.ASCII)
_MOST_VLAN = 4094
_ABSENT = {"macvlan": "CONFIG_MACVLAN", "ipvlan": "CONFIG_IPVLAN"}
_MADE = ("dummy", "vlan")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container's interface is made. link: of the host, by name; mode: as the kernel's.

    mtu: in bytes, 0 for the link's own.
    """

    driver: str
    link: str
    mode: int
    mtu: int


def place_of(network: Network) -> Place:
    """Raises InvalidArgument for a bad mode."""
    link = network.spec.options.get(_PARENT) or f"dm-{network.id[:12]}"
    mtu = mtu_of(network.spec) if _MTU in network.spec.options else 0
    return Place(network.driver, link, _mode(network.spec), mtu)


def _mode(spec: NetworkSpec) -> int:
    modes = _MODES[spec.driver]
    default = next(iter(modes))
    text = spec.options.get(f"{spec.driver}_mode") or default
    if text not in modes:
        raise InvalidArgument(
            f"requested {spec.driver} mode '{text}' is not valid, '{default}' mode is the"
            f" {spec.driver} driver default"
        )
    return modes[text]


def is_exclusive(spec: NetworkSpec) -> bool:
    """Whether it has its link for itself."""
    return spec.options.get("macvlan_mode") == "passthru"


def has_way_out(network: Network) -> bool:
    """Whether there is a gateway to be had: not so on a link that the engine has made up."""
    return not network.is_direct or bool(network.spec.options.get(_PARENT))


def is_at_layer_3(network: Network) -> bool:
    """Whether containers have no neighbours, and send all to the interface itself."""
    return network.driver == "ipvlan" and _mode(network.spec) != _MODES["ipvlan"]["l2"]


def check_options(spec: NetworkSpec) -> None:
    """Raises InvalidArgument for a bad value, NotSupported for what is not done here."""
    _mode(spec)
    mtu_of(spec)
    parent = spec.options.get(_PARENT, "")
    if parent and not _LINK.fullmatch(parent):
        raise InvalidArgument(f'network "{spec.name}": invalid interface name: {parent}')
    if parent == "lo":
        raise InvalidArgument(f"loopback interface is not a valid {spec.driver} parent link")
    flag = spec.options.get(_IPVLAN_FLAG) or "bridge"
    if spec.driver == "ipvlan" and flag != "bridge":
        raise NotSupported(
            f'network "{spec.name}": {_IPVLAN_FLAG}={flag}: only bridge is supported'
        )
    for key in spec.options:
        if key.startswith("com.docker.network.") and key not in _OTHERS:
            raise NotSupported(f'network "{spec.name}": driver option is not supported: {key}')


def realise(host: Host, network: Network, owner: str, *, is_new: bool) -> None:
    """Make the link where it is ours to make. is_new: see whether the kernel can do all that is
    asked, before a container needs it.

    Raises InvalidArgument for a link that is not there, NotSupported where the kernel lacks what it
    takes, Internal where it refuses.
    """
    place = place_of(network)
    is_made = host.route.link(place.link) is None
    if is_made:
        _make(host, network, place.link, owner)
    try:
        if is_new:
            _try(host, network, place)
    except StackrError:
        if is_made:
            remove(host, place.link, owner)
        raise


def _make(host: Host, network: Network, link: str, owner: str) -> None:
    vlan = _VLAN.fullmatch(link)
    if network.spec.options.get(_PARENT) and vlan is None:
        raise InvalidArgument(f'network "{network.name}": parent {link}: no such interface')
    if vlan is None:
        message, kind = netlink.new_dummy(link), "dummy interface (CONFIG_DUMMY): give a parent"
    else:
        below = host.route.link(vlan["parent"])
        if below is None or not 0 < int(vlan["id"]) <= _MOST_VLAN:
            raise InvalidArgument(f'network "{network.name}": parent {link}: no such interface')
        message = netlink.new_vlan(link, link=below.index, number=int(vlan["id"]))
        kind = "VLAN (CONFIG_VLAN_8021Q)"
    _check(host, network, message, kind)
    host.route.check([netlink.set_link(link, alias=owner)])


def _try(host: Host, network: Network, place: Place) -> None:
    link = host.route.link(place.link)
    if link is None:
        raise InvalidArgument(f'network "{network.name}": parent {place.link}: no such interface')
    name = f"skt{network.id[:12]}"
    message = netlink.new_direct(
        name, driver=place.driver, link=link.index, mode=place.mode, mac="", mtu=0, netns=None
    )
    _check(host, network, message, f"{place.driver} ({_ABSENT[place.driver]})")
    host.route.send([netlink.delete_link(name)])


def _check(host: Host, network: Network, message: bytes, what: str) -> None:
    outcome, *_ = host.route.send([message])
    if outcome is None:
        return
    if outcome.errno == errno.EOPNOTSUPP:
        raise NotSupported(f'network "{network.name}": this kernel has no {what}')
    reason = outcome.strerror or outcome
    raise Internal(f'network "{network.name}": {what}: {reason}')


def remove(host: Host, link: str, owner: str) -> None:
    """Delete a link, if it is one of ours. Raises Internal."""
    found = host.route.link(link)
    if found is not None and _is_ours(found, owner):
        host.route.check([netlink.delete_link(link)])


def sweep(host: Host, owner: str, kept: Collection[str]) -> None:
    """Delete those of ours that no network needs."""
    names = [each.name for each in host.route.links() if _is_ours(each, owner)]
    host.route.send([netlink.delete_link(name) for name in names if name not in kept])


def _is_ours(link: netlink.Link, owner: str) -> bool:
    return link.kind in _MADE and link.alias == owner
