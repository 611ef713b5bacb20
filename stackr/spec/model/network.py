"""Top-level `networks`."""

from __future__ import annotations

from stackr.spec.model.base import Model


class IpamPool(Model):
    """A range of addresses, in CIDR notation."""

    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None
    aux_addresses: dict[str, str] = {}


class Ipam(Model):
    """Who gives out addresses, and from which pools."""

    driver: str | None = None
    config: tuple[IpamPool, ...] = ()


class Network(Model):
    """A network; `name` is the engine's name of it, `external` means that it has to exist."""

    name: str | None = None
    driver: str | None = None
    driver_opts: dict[str, str] = {}
    ipam: Ipam = Ipam.model_construct()
    external: bool = False
    internal: bool = False
    attachable: bool = False
    labels: dict[str, str] = {}
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
