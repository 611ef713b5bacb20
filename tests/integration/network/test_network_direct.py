"""Networks whose containers are on one of the host's links by themselves: macvlan and ipvlan."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from network_lab import Engine, Lab, host_interfaces

from stackr.errors import InvalidArgument, NotSupported, PermissionDenied, StackrError
from stackr.runtime.engine.network.types import (
    EndpointSpec,
    IpamPool,
    Network,
    NetworkSpec,
    Publication,
)

pytestmark = pytest.mark.root

LAN = (IpamPool(subnet="10.9.0.0/24", ip_range="10.9.0.64/27", gateway="10.9.0.2"),)
ABSENT = {"macvlan": "macvlan (CONFIG_MACVLAN)", "ipvlan": "ipvlan (CONFIG_IPVLAN)"}


async def attempt(engine: Engine, spec: NetworkSpec) -> Network | StackrError:
    """The network, or what is said of a kernel that lacks what it takes."""
    try:
        return await engine.networks.create(spec)
    except NotSupported as error:
        return error


async def is_made(engine: Engine, driver: str, **options: str) -> bool:
    """Whether the network is there; where the kernel lacks the driver, that has to be said."""
    given = {"parent": "lan0", **options}
    made = await attempt(engine, NetworkSpec("lan", driver, pools=LAN, options=given))
    if isinstance(made, Network):
        return True
    assert made.message == f'network "lan": this kernel has no {ABSENT[driver]}'
    assert "lan" not in [network.name for network in engine.networks.list()]
    return False


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
async def test_its_containers_are_neighbours_of_the_hosts(
    lab: Lab, engine: Engine, driver: str
) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    if not await is_made(engine, driver):
        return
    web, mate = lab.process(), lab.process()
    address = await engine.attach(web, "lan", ports=(Publication(80, host_port=8080),))
    assert address.startswith("10.9.0.")
    await engine.attach(mate, "lan", name="mate")
    lab.serve(web, 80, "web")
    assert await lab.ask(address, 80, source=neighbour) == "web ::ffff:10.9.0.2"
    assert (await lab.ask(address, 80, source=mate)).startswith("web")
    assert await lab.dig(mate, "+short", "web") == [address]
    assert await lab.is_cut_off(address, 80)  # the kernel keeps the host itself out
    info = engine.networks.sandbox(web.id)
    assert info is not None
    assert info.ports == ()
    assert "default via 10.9.0.2 dev eth0" in lab.run_in(web, "ip route")


async def test_it_outlives_the_engine_and_is_repaired(lab: Lab, engine: Engine) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    if not await is_made(engine, "macvlan"):
        return
    web = lab.process()
    address = await engine.attach(web, "lan")
    lab.serve(web, 80, "web")
    await engine.restart()
    await engine.networks.adopt(web.id, web.pid)
    await engine.networks.settle()
    assert (await lab.ask(address, 80, source=neighbour)).startswith("web")
    lab.run_in(web, "ip link delete eth0")
    (fault,) = await engine.networks.faults("lan")
    assert (fault.what, fault.found) == ("web.eth0", "missing")
    await engine.networks.repair("lan")
    assert (await lab.ask(address, 80, source=neighbour)).startswith("web")
    assert await engine.networks.faults("lan") == []


async def test_it_is_joined_and_left_beside_a_bridge(lab: Lab, engine: Engine) -> None:
    lab.neighbour("10.9.0.2", "10.9.0.1")
    if not await is_made(engine, "macvlan"):
        return
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    spec = EndpointSpec("lan", ipv4_address="10.9.0.70", mac_address="02:00:00:00:00:07")
    await engine.networks.connect(web.id, spec)
    shown = lab.run_in(web, "ip -o address show dev eth1; ip link show dev eth1")
    assert "10.9.0.70/24" in shown
    assert "02:00:00:00:00:07" in shown
    lab.serve(web, 80, "web")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    await engine.networks.disconnect(web.id, "lan")
    assert "eth1" not in lab.run_in(web, "ip link")
    await engine.networks.remove("lan")
    assert "lan0" in host_interfaces()


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("macvlan", {"macvlan_mode": "x"}, "requested macvlan mode 'x' is not valid, 'bridge' mod"),
        ("ipvlan", {"ipvlan_mode": "l4"}, "requested ipvlan mode 'l4' is not valid, 'l2' mode is"),
        ("ipvlan", {"ipvlan_flag": "vepa"}, 'network "bad": ipvlan_flag=vepa: only bridge is supp'),
        ("macvlan", {"parent": "lo"}, "loopback interface is not a valid macvlan parent link"),
        ("macvlan", {"parent": "none0"}, 'network "bad": parent none0: no such interface'),
        ("macvlan", {"parent": "none0.7"}, 'network "bad": parent none0.7: no such interface'),
        ("macvlan", {"parent": "lan0.4095"}, 'network "bad": parent lan0.4095: no such interface'),
        ("macvlan", {"parent": "a/b"}, 'network "bad": invalid interface name: a/b'),
        (
            "macvlan",
            {"com.docker.network.bridge.name": "b0"},
            'network "bad": driver option is not supported: com.docker.network.bridge.name',
        ),
    ],
)
async def test_what_is_refused(
    lab: Lab, engine: Engine, driver: str, options: Mapping[str, str], message: str
) -> None:
    lab.neighbour("10.9.0.2", "10.9.0.1")
    with pytest.raises((InvalidArgument, NotSupported)) as caught:
        await engine.networks.create(NetworkSpec("bad", driver, pools=LAN, options=options))
    assert caught.value.message.startswith(message)
    assert "bad" not in [network.name for network in engine.networks.list()]


async def test_one_that_has_its_link_for_itself(lab: Lab, engine: Engine) -> None:
    lab.neighbour("10.9.0.2", "10.9.0.1")
    if not await is_made(engine, "macvlan"):
        return
    other = (IpamPool(subnet="10.10.0.0/24"),)
    options = {"parent": "lan0", "macvlan_mode": "passthru"}
    spec = NetworkSpec("alone", "macvlan", pools=other, options=options)
    with pytest.raises(PermissionDenied, match="network lan is already using parent interface"):
        await engine.networks.create(spec)


@pytest.mark.parametrize("parent", ["", "lan0.7"])
async def test_a_link_of_its_own_goes_with_the_network(
    lab: Lab, engine: Engine, parent: str
) -> None:
    lab.neighbour("10.9.0.2", "10.9.0.1")
    before = host_interfaces()
    options = {"parent": parent} if parent else {}
    spec = NetworkSpec("own", "macvlan", pools=LAN, options=options)
    network = await attempt(engine, spec)
    if not isinstance(network, Network):
        assert "this kernel has no " in network.message  # VLANs, or links that lead nowhere
        assert host_interfaces() == before
        return
    assert host_interfaces() - before == {parent or f"dm-{network.id[:12]}"}
    await engine.networks.remove("own")
    assert host_interfaces() == before
