"""Top-level `networks`."""

from typing import Annotated

from stackr.spec import merge
from stackr.spec.attribute import (
    KEYED,
    Merge,
    Named,
    Since,
    inert,
    not_on_swarm,
    only,
    partly,
    supported,
    swarm,
)
from stackr.spec.model.base import Model
from stackr.spec.model.types import Flag, Labels, OptionalFlag, Options


class IpamPool(Model):
    """A range of addresses, in CIDR notation."""

    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None
    aux_addresses: Annotated[dict[str, str], not_on_swarm("a Swarm drops them without a word")] = {}


class Ipam(Model):
    """Who gives out addresses, and from which pools."""

    driver: str | None = None
    config: Annotated[tuple[IpamPool, ...], Merge(merge.pools), Named("subnet")] = ()


class Network(Model):
    """A network; `name` is the engine's name of it, `external` means that it has to exist."""

    name: str | None = None
    driver: Annotated[
        str | None,
        only(
            *("bridge", "default", "host", "none", "macvlan", "ipvlan"),
            note="bridge, macvlan, ipvlan; host and none as external networks",
        ),
        swarm(
            partly(
                "overlay, and plugins of all nodes; networks of one node reach no other",
                lambda driver: driver in ("bridge", "host", "none", "macvlan", "ipvlan"),
            )
        ),
    ] = None
    driver_opts: Annotated[Options, KEYED] = {}
    ipam: Ipam = Ipam.model_construct()
    external: Flag = False
    internal: Flag = False
    attachable: Annotated[
        Flag,
        inert("the engine keeps it; only a cluster has a use for it"),
        swarm(supported()),
    ] = False
    labels: Annotated[Labels, KEYED] = {}
    enable_ipv4: Annotated[
        OptionalFlag,
        Since("2.33.1"),
        swarm(partly("true", lambda wanted: wanted is False)),
    ] = None
    enable_ipv6: OptionalFlag = None
