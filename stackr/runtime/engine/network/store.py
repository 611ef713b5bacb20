"""Network records and their addresses: in memory, written through to the engine's state.

Every method is synchronous and on the event loop, so two requests never see the same free name,
subnet or address. The predefined networks `bridge`, `host` and `none` always exist.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, replace
from ipaddress import ip_address, ip_network
from itertools import chain
from typing import Any

from stackr.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    NotSupported,
    PermissionDenied,
    Unavailable,
)
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.network import bridge, direct, ipam
from stackr.runtime.engine.network.catalogue import Catalogue
from stackr.runtime.engine.network.configuration import check_configuration, configured
from stackr.runtime.engine.network.default_bridge import (
    default_bridge,
    is_as,
    with_default_options,
)
from stackr.runtime.engine.network.host_routes import HostSubnet
from stackr.runtime.engine.network.resting import RestingAddresses
from stackr.runtime.engine.network.taken import Taken
from stackr.runtime.engine.network.types import (
    DIRECT_DRIVERS,
    Endpoint,
    EndpointSpec,
    IpamPool,
    Network,
    NetworkSpec,
    PublishedPort,
)
from stackr.runtime.engine.options import EngineOptions
from stackr.runtime.engine.records import Document, Kind, NewerRecord, known_fields
from stackr.runtime.engine.state import State

__all__ = ["NETWORK", "NetworkStore", "endpoint_from", "network_from", "published_port_from"]

_NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")
_DEFAULTS = {"bridge": "bridge", "host": "host", "none": "null"}


def network_from(document: Document) -> Network:
    spec = known_fields(NetworkSpec, document["spec"])
    spec["pools"] = tuple(IpamPool(**known_fields(IpamPool, pool)) for pool in spec["pools"])
    values = {**known_fields(Network, document), "spec": NetworkSpec(**spec)}
    values["configured_subnets"] = tuple(values["configured_subnets"])
    return Network(**values)


def endpoint_from(document: Document) -> Endpoint:
    spec = known_fields(EndpointSpec, document["spec"])
    for name in ("aliases", "link_local_ips", "links"):
        spec[name] = tuple(spec[name])
    values = {**known_fields(Endpoint, document), "spec": EndpointSpec(**spec)}
    values["dns_names"] = tuple(values["dns_names"])
    return Endpoint(**values)


def published_port_from(document: Document) -> PublishedPort:
    return PublishedPort(**known_fields(PublishedPort, document))


def _network_document(network: Network) -> Document:
    document = asdict(network)
    for name in ("config_only", "config_from"):
        if not document["spec"][name]:
            del document["spec"][name]
    return document


NETWORK = Kind(
    "network",
    parse=lambda _, document: network_from(document),
    dump=_network_document,
    identities={"spec.pools": "subnet"},
)


def _default(name: str, driver: str, options: EngineOptions) -> NetworkSpec:
    """One that is always there; `bridge` as the options say."""
    if name != "bridge":
        return NetworkSpec(name=name, driver=driver)
    return default_bridge(options)


class NetworkStore:
    """host_subnets: what the host's routes lead to, those of the named interfaces left out, which
    are our bridges.

    stated: by a network's name and ID, the addresses that somebody is to have there, running or
    not.
    glimpsed: networks whose records are of a newer version, as far as they can be read: they are
    left alone, and so are their names, bridges and subnets.
    """

    def __init__(
        self,
        config: EngineConfig,
        state: State,
        host_subnets: Callable[[Collection[str]], Sequence[HostSubnet]],
    ) -> None:
        self.stated: Callable[[Sequence[str]], Iterable[str]] = lambda _: ()
        self._state = state
        self._host_subnets = host_subnets
        self._pools = (*config.address_pools, ipam.ula_pool(str(config.data_root).encode()))
        self._options = config.options
        self._resting = RestingAddresses(state)
        self._networks = Catalogue()
        self._left_alone: dict[str, NewerRecord] = {}
        self.glimpsed: Sequence[Network] = ()
        self._addresses: dict[str, list[ipam.Addresses]] = {}
        self._spans = Taken()

    def load(self) -> None:
        """Raises InvalidArgument, NotSupported for networks' options that are none."""
        for kind, options in self._options.default_network_opts.items():
            _check_options(NetworkSpec(f"default-network-opts of {kind}", kind, options=options))
        self._resting.load()
        for network in self._state.read(NETWORK).values():
            self._keep(network)
        self._left_alone = self._state.newer(NETWORK)
        self.glimpsed = list(self._state.glimpsed(NETWORK).values())
        for network in self.glimpsed:
            self._spans.put(network.id, _spans_of(network))
        names = {network.name for network in (*self._networks, *self.glimpsed)}
        names.discard(self._outdated_default())
        for name, driver in _DEFAULTS.items():
            if name not in names:
                self._record(_default(name, driver, self._options))

    def _outdated_default(self) -> str:
        """Forget the network `bridge` where the options want another one; "" where it stays.

        One with containers that run has to stay as it is.
        """
        wanted = _default("bridge", "bridge", self._options)
        for network in self._networks:
            if network.name != "bridge" or is_as(network, wanted):
                continue
            if network.id in self._in_use():
                self._state.note(
                    "network bridge: has running containers: its options (bip, mtu, ...) count"
                    " once none runs as the engine starts"
                )
                return ""
            self.forget(network)
            return "bridge"
        return ""

    def _in_use(self) -> set[str]:
        """The networks of containers that ran last."""
        return {
            endpoint["network_id"]
            for record in self._state.all("sandbox").values()
            for endpoint in record.get("endpoints", ())
        }

    @property
    def has_left_alone(self) -> bool:
        return bool(self._left_alone)

    def all(self) -> list[Network]:
        """By age, oldest first."""
        return sorted(self._networks, key=lambda network: network.created_ns)

    def get(self, reference: str) -> Network:
        """By ID, name or unique prefix of the ID, in this order.

        Raises NotFound, and NewerRecord for one that is left alone.

        "default" is Docker's other word for the network `bridge`.
        """
        reference = "bridge" if reference == "default" else reference
        network = self._networks.find(reference)
        if network is None:
            self._check_known(reference)
            raise NotFound(f"network {reference} not found")
        return network

    def _check_known(self, reference: str) -> None:
        named = {network.id for network in self.glimpsed if network.name == reference}
        for id, error in self._left_alone.items():
            if id in named or (reference and id.startswith(reference)):
                raise error

    def define(self, spec: NetworkSpec) -> Network:
        """Check a request, choose subnets, and record the network."""
        spec = with_default_options(spec, self._options)
        self._check(spec)
        self._state.check_room()
        if spec.config_from:
            spec = configured(spec, self._settings_of(spec.config_from))
            _check_options(spec)
        self._check_shared(spec)
        return self._record(spec)

    def _check_shared(self, spec: NetworkSpec) -> None:
        """Raises PermissionDenied for a link that another network has for itself, or has already
        where this one wants it so."""
        parent = spec.options.get("parent") if spec.driver in DIRECT_DRIVERS else None
        for other in self._networks if parent else ():
            is_same = other.is_direct and other.spec.options.get("parent") == parent
            if is_same and (direct.is_exclusive(spec) or direct.is_exclusive(other.spec)):
                raise PermissionDenied(
                    f"network {other.name} is already using parent interface {parent}"
                )

    def _settings_of(self, name: str) -> NetworkSpec:
        for network in self._networks:
            if network.name == name and network.spec.config_only:
                return network.spec
        raise NotFound(f'configuration network "{name}" not found')

    def check_unused(self, network: Network) -> None:
        """Raises PermissionDenied where others are made with its settings."""
        name = network.name if network.spec.config_only else ""
        if name and any(each.spec.config_from == name for each in self._networks):
            raise PermissionDenied(
                f'error while removing network: configuration network "{name}" is in use'
            )

    def check_removable(self) -> None:
        """Raises Internal where nothing can be removed: the disk is read-only."""
        self._state.check_writable()

    def forget(self, network: Network) -> None:
        self._state.delete(NETWORK.name, network.id)
        self._resting.forget(network.id)
        self._networks.forget(network.id)
        self._spans.drop(network.id)
        self._addresses.pop(network.id, None)

    def clashes(self, network: Network) -> bool:
        """Whether others have taken a subnet that was chosen for a network that is still there.

        Not another network of ours, as all of these were known when it was chosen.
        """
        return network.id in self._networks and self._overlaps(network, self._spans_of_host())

    def refresh(self, network: Network) -> Network:
        """Choose other subnets for an unused network where others have taken its own."""
        if not self.clashes(network):
            return network
        taken = self._spans_of_host()
        self._spans.drop(network.id)
        try:
            pools = tuple(
                self._choose(ip_network(pool.subnet).version, taken)
                if _is_chosen(network, pool)
                else pool
                for pool in network.spec.pools
            )
        finally:
            self._spans.put(network.id, _spans_of(network))
        renewed = replace(network, spec=replace(network.spec, pools=pools))
        self._save(renewed)
        return renewed

    def _overlaps(self, network: Network, taken: Sequence[ipam.Span]) -> bool:
        pools = (pool for pool in network.spec.pools if _is_chosen(network, pool))
        return any(ipam.overlapping(ip_network(pool.subnet), taken) for pool in pools)

    def _choose(self, version: int, taken: Sequence[ipam.Span]) -> IpamPool:
        """taken: besides what networks have."""
        subnet = ipam.choose_subnet(self._pools, taken, version, self._spans.runs(version))
        return ipam.resolve_pool(IpamPool(), subnet)

    def allocate(self, network: Network, spec: EndpointSpec, slot: str) -> tuple[str, str]:
        """An IPv4 and an IPv6 address on the network, "" where it has no such subnet.

        slot: who has had addresses in it gets these again, where they are free. Raises Docker's
        errors for an address that cannot be had.
        """
        wanted = {4: spec.ipv4_address, 6: spec.ipv6_address}
        for version, text in wanted.items():
            if text:
                self._check_static(network, text, version)
        got: dict[int, str] = {4: "", 6: ""}
        books = self._addresses.get(network.id)
        if books is None:
            raise NotFound(f"network {network.name} not found")  # removed meanwhile
        try:
            for addresses in books:
                version = addresses.subnet.version
                if not got[version]:
                    got[version] = self._take(network, slot, addresses, wanted[version])
        except Unavailable as error:
            self.release(network.id, *got.values())
            raise Unavailable(f"{error.message}: {network.name} ({network.id})") from error
        except BaseException:
            self.release(network.id, *got.values())
            raise
        return got[4], got[6]

    def _take(self, network: Network, slot: str, addresses: ipam.Addresses, wanted: str) -> str:
        if wanted:
            stated = ip_address(wanted)
            if stated not in addresses.subnet:
                return ""
            addresses.reserve(stated)
            return str(stated)
        others = list(self.stated((network.name, network.id)))
        for text in self._resting.of(network.id, slot):
            own = ip_address(text)
            if text not in others and own in addresses.subnet and addresses.is_free(own):
                addresses.reserve(own)
                return text
        resting = (*self._resting.others(network.id, slot), *others)
        return str(addresses.allocate([ip_address(text) for text in resting]))

    def occupy(self, network_id: str, *addresses: str) -> None:
        """Addresses of a container that is found running, taken already or not."""
        for addresses_of, address in self._matching(network_id, addresses):
            addresses_of.release(address)
            addresses_of.reserve(address)

    def rest(self, network_id: str, slot: str, *addresses: str) -> None:
        """A container has ended: these are kept for its return as long as there are others."""
        if network_id in self._networks:
            self._resting.rest(network_id, slot, *addresses)

    def release(self, network_id: str, *addresses: str) -> None:
        for addresses_of, address in self._matching(network_id, addresses):
            addresses_of.release(address)

    def _matching(self, network_id: str, texts: tuple[str, ...]) -> list[tuple[Any, Any]]:
        parsed = [ip_address(text) for text in texts if text]
        return [
            (addresses, address)
            for addresses in self._addresses.get(network_id, ())
            for address in parsed
            if address in addresses.subnet
        ]

    def _check(self, spec: NetworkSpec) -> None:
        if not spec.name.strip() or not _NAME.fullmatch(spec.name):
            shown = f"{spec.name!r} has a slash or a control character, or is longer than 255"
            raise InvalidArgument(
                f"invalid name: {shown if spec.name.strip() else 'name is empty'}"
            )
        if spec.name in _DEFAULTS or spec.name == "default":
            raise PermissionDenied(f"operation is not permitted on predefined {spec.name} network")
        if spec.driver == "overlay":
            raise NotSupported(f'network "{spec.name}": driver is not supported: {spec.driver}')
        known = ("", "bridge", *DIRECT_DRIVERS)
        for driver, ours in ((spec.driver, known), (spec.ipam_driver, ("", "default"))):
            if driver not in ours and not (spec.config_only and driver == "null"):
                raise NotFound(f'plugin "{driver}" not found')
        check_configuration(spec)
        if not spec.enable_ipv4:
            raise NotSupported(f'network "{spec.name}": a network without IPv4 is not supported')
        _check_options(spec)
        is_glimpsed = any(network.name == spec.name for network in self.glimpsed)
        if is_glimpsed or self._networks.named(spec.name) is not None:
            raise AlreadyExists(f"network with name {spec.name} already exists")

    def _record(self, spec: NetworkSpec) -> Network:
        network_id = secrets.token_hex(32)
        has_bridge = spec.driver in ("bridge", "") and not spec.config_only
        name = bridge.bridge_name(network_id, spec) if has_bridge else ""
        is_glimpsed = any(network.bridge == name for network in self.glimpsed)
        if name and (is_glimpsed or name in self._networks.bridges):
            raise PermissionDenied(f"bridge name {name} is in use by another network")
        is_direct = spec.driver in DIRECT_DRIVERS and not spec.config_only
        pools = spec.pools
        if has_bridge or is_direct:
            pools = self._resolve(spec, is_direct=is_direct)
        driver = "null" if spec.config_only else spec.driver or "bridge"
        network = Network(
            id=network_id,
            created_ns=time.time_ns(),
            spec=replace(spec, pools=pools, driver=driver),
            bridge=name,
            configured_subnets=tuple(
                str(subnet) for pool in spec.pools if (subnet := ipam.requested_subnet(pool))
            ),
        )
        self._save(network)
        return network

    def _save(self, network: Network) -> None:
        self._state.save(NETWORK, network.id, network)
        self._keep(network)

    def _keep(self, network: Network) -> None:
        self._networks.keep(network)
        self._spans.put(network.id, _spans_of(network))
        pools = network.spec.pools if network.is_plugged else ()
        self._addresses[network.id] = [ipam.Addresses.of_pool(pool) for pool in pools]

    def _subnets_of_host(self) -> Sequence[HostSubnet]:
        return self._host_subnets(self._networks.bridges.keys())

    def _spans_of_host(self) -> list[ipam.Span]:
        return [host.span for host in self._subnets_of_host()]

    def _resolve(self, spec: NetworkSpec, *, is_direct: bool) -> tuple[IpamPool, ...]:
        """Pools with their subnets: those asked for, then one for each IP version left out.

        Nobody may name a subnet of a link of the host's, who may cut one out of a wider route, as
        of a VPN's; a network on such a link is mostly in its very subnet.
        """
        hosts = self._subnets_of_host()
        taken = [host.span for host in hosts]
        fixed = [host.span for host in hosts if host.on_link and not is_direct]
        resolved: list[IpamPool] = []
        missing = {4, 6} if spec.enable_ipv6 else {4}
        for pool in spec.pools:
            subnet = ipam.requested_subnet(pool)
            if subnet is None:
                continue
            if subnet.version == 6 and not spec.enable_ipv6:
                raise InvalidArgument(
                    f"invalid network config: subnet {subnet} needs IPv6 to be enabled"
                )
            other = ipam.overlapping(subnet, chain(fixed, self._spans.spans()))
            if other is not None:
                raise PermissionDenied(
                    "invalid pool request: Pool overlaps with other one on this address space:"
                    f" {subnet} with {other}"
                )
            own = ipam.Span.of(subnet, f"subnet {subnet}")
            fixed.append(own)
            taken.append(own)
            missing.discard(subnet.version)
            resolved.append(ipam.resolve_pool(pool, subnet))
        resolved += [self._choose(version, taken) for version in sorted(missing)]
        return tuple(resolved)

    def _check_static(self, network: Network, text: str, version: int) -> None:
        prefix = f"invalid config for network {network.name}: invalid endpoint settings"
        if network.is_predefined:
            raise InvalidArgument(
                f"{prefix}: user specified IP address is supported on user defined networks only"
            )
        address = ipam.parse_address(text, f"IPv{version} address")
        if address.version != version:
            raise InvalidArgument(f"{prefix}: invalid IPv{version} address: {text}")
        subnets = [ip_network(subnet) for subnet in network.configured_subnets]
        if not any(subnet.version == version for subnet in subnets):
            raise InvalidArgument(
                f"{prefix}: user specified IP address is supported only when connecting to networks"
                " with user configured subnets"
            )
        if not any(address in subnet for subnet in subnets):
            raise InvalidArgument(f"{prefix}: no configured subnet contains IP address {address}")


def _spans_of(network: Network) -> tuple[ipam.Span, ...]:
    pools = () if network.spec.config_only else network.spec.pools
    return tuple(
        ipam.Span.of(ip_network(pool.subnet), f"network {network.name} {pool.subnet}")
        for pool in pools
    )


def _check_options(spec: NetworkSpec) -> None:
    check = direct.check_options if spec.driver in DIRECT_DRIVERS else bridge.check_options
    check(spec)


def _is_chosen(network: Network, pool: IpamPool) -> bool:
    """Whether nobody has asked for this subnet."""
    return pool.subnet not in network.configured_subnets
