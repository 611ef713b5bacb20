"""What the engine's options make of networks: of `bridge`, which is always there, and of others
that name no options themselves; pure. Source: moby, daemon/daemon_unix.go, initBridgeDriver.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

from stackr.runtime.engine.network.bridge import flag_options, mtu_option
from stackr.runtime.engine.network.types import IpamPool, Network, NetworkSpec
from stackr.runtime.engine.options import EngineOptions

__all__ = ["default_bridge", "is_as", "with_default_options"]


def default_bridge(options: EngineOptions) -> NetworkSpec:
    pools = (_pool(options.bip, options.fixed_cidr), _pool(options.bip6, options.fixed_cidr_v6))
    own = flag_options(icc=options.icc, masquerade=options.ip_masq, host_ip=options.ip)
    return NetworkSpec(
        name="bridge",
        enable_ipv6=options.ipv6,
        pools=tuple(filter(None, pools)),
        options={**mtu_option(options.mtu), **own},
    )


def _pool(own: str, part: str) -> IpamPool | None:
    """own: the bridge's address and prefix. part: from where containers have theirs, which is the
    whole subnet where the bridge is given none.
    """
    if own:
        address = ip_interface(own)
        return IpamPool(str(address.network), ip_range=part, gateway=str(address.ip))
    return IpamPool(part, ip_range=part) if part else None


def is_as(network: Network, wanted: NetworkSpec) -> bool:
    """Whether the network `bridge` is what the options want."""
    subnets = tuple(str(ip_network(pool.subnet)) for pool in wanted.pools)
    kept = {(pool.subnet, pool.ip_range, pool.gateway) for pool in network.spec.pools}
    ranges = {(subnet, ip_range) for subnet, ip_range, _ in kept}
    gateways = {gateway for *_, gateway in kept}
    return (
        network.configured_subnets == subnets
        and network.spec.enable_ipv6 == wanted.enable_ipv6
        and {(pool.subnet, pool.ip_range) for pool in wanted.pools} <= ranges
        and {pool.gateway for pool in wanted.pools if pool.gateway} <= gateways
        and dict(network.spec.options) == dict(wanted.options)
    )


def with_default_options(spec: NetworkSpec, options: EngineOptions) -> NetworkSpec:
    """With `default-network-opts` of its driver, below its own."""
    default = options.network_opts(spec.driver or "bridge")
    if spec.config_from or not default:
        return spec
    return replace(spec, options={**default, **spec.options})
