"""Top-level `networks`."""

from typing import Annotated

from stackr.spec import merge
from stackr.spec.attribute import Merge
from stackr.spec.model.base import Model
from stackr.spec.model.types import Flag, Labels, OptionalFlag, Options


class IpamPool(Model):
    """A range of addresses, in CIDR notation."""

    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None
    aux_addresses: dict[str, str] = {}


class Ipam(Model):
    """Who gives out addresses, and from which pools."""

    driver: str | None = None
    config: Annotated[tuple[IpamPool, ...], Merge(merge.pools)] = ()


class Network(Model):
    """A network; `name` is the engine's name of it, `external` means that it has to exist."""

    name: str | None = None
    driver: str | None = None
    driver_opts: Options = {}
    ipam: Ipam = Ipam.model_construct()
    external: Flag = False
    internal: Flag = False
    attachable: Flag = False
    labels: Labels = {}
    enable_ipv4: OptionalFlag = None
    enable_ipv6: OptionalFlag = None
