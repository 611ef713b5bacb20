"""What somebody takes away of a network is told, and comes back around its running containers."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from network_lab import Engine, Lab, Process, eventually

from stackr.errors import Conflict
from stackr.runtime.engine.linux.netlink import Link
from stackr.runtime.engine.linux.nftables import Nftables
from stackr.runtime.engine.network import pairs
from stackr.runtime.engine.network.endpoint import Plug, host_interface, pair_faults
from stackr.runtime.engine.network.firewall import Firewall
from stackr.runtime.engine.network.kernel import Host
from stackr.runtime.engine.network.types import Fault, IpamPool, NetworkSpec, Publication

pytestmark = pytest.mark.root

_SUBNET, _WEB = "10.77.0.0/24", "10.77.0.2"

_INSIDE = {"inside": "ip address flush dev eth0", "inside down": "ip link set eth0 down"}


def _pair(engine: Engine, process: Process) -> str:
    """The host's end."""
    sandbox = engine.networks.sandbox(process.id)
    assert sandbox is not None
    return host_interface(sandbox.endpoints["app"].endpoint_id)


def _take_away(lab: Lab, engine: Engine, web: Process, what: str) -> None:
    bridge = engine.networks.get("app").bridge
    gateway = engine.networks.get("app").spec.pools[0].gateway
    if what in _INSIDE:
        lab.run_in(web, _INSIDE[what])
        return
    commands = {
        "bridge": f"ip link delete {bridge}",
        "gateway": f"ip address delete {gateway}/24 dev {bridge}",
        "bridge down": f"ip link set {bridge} down",
        "route": f"ip route delete {_SUBNET} dev {bridge}",
        "loopback": f"sysctl -qw net.ipv4.conf.{bridge}.route_localnet=0",
        "bridge filters": f"tc qdisc delete dev {bridge} clsact",
        "pair": f"ip link delete {_pair(engine, web)}",
        "off the bridge": f"ip link set {_pair(engine, web)} nomaster",
        "pair filter": f"tc qdisc delete dev {_pair(engine, web)} clsact",
    }
    subprocess.run(["sh", "-ec", commands[what]], check=True)


async def _set_up(lab: Lab, engine: Engine) -> tuple[Process, Process]:
    await engine.networks.create(NetworkSpec("app", pools=(IpamPool(_SUBNET),)))
    web, client = lab.process(), lab.process()
    assert await engine.attach(web, "app", ports=(Publication(80, host_port=8080),)) == _WEB
    await engine.attach(client, "app", name="client")
    lab.serve(web, 80, "web")
    assert await engine.networks.faults("app") == []
    return web, client


async def _check(lab: Lab, engine: Engine, client: Process) -> None:
    assert await engine.networks.faults("app") == []
    assert (await lab.ask(_WEB, 80, source=client)).startswith("web")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("bridge", {("bridge", "missing"), ("web.eth0", "not on the bridge")}),
        ("gateway", {("gateway", "missing")}),
        ("bridge down", {("bridge", "down")}),
        ("route", {("route", "missing")}),
        ("loopback", {("route_localnet", "0")}),
        ("bridge filters", {("bridge", "without its filters")}),
        ("pair", {("web.eth0", "missing")}),
        ("off the bridge", {("web.eth0", "not on the bridge")}),
        ("pair filter", {("web.eth0", "without its filter")}),
        ("inside", {("web.eth0", "without its address")}),
        ("inside down", {("web.eth0", "down")}),
    ],
)
async def test_what_is_missing_is_told_and_repaired(
    lab: Lab, engine: Engine, what: str, told: set[tuple[str, str]]
) -> None:
    web, client = await _set_up(lab, engine)
    _take_away(lab, engine, web, what)
    faults = {
        (fault.what.rpartition("net.ipv4.conf.")[2].rpartition(".")[2], fault.found)
        if fault.what.startswith("net.")
        else (fault.what, fault.found)
        for fault in await engine.networks.faults("app")
    }
    assert told <= faults
    await engine.networks.repair("app")
    await _check(lab, engine, client)


@pytest.mark.parametrize("mtu", [1000, 1500])
async def test_a_bridge_may_be_too_narrow_for_ipv6(lab: Lab, engine: Engine, mtu: int) -> None:
    """The kernel has no settings of IPv6 then: at once, or since somebody has made it so."""
    options = {"com.docker.network.driver.mtu": str(mtu)}
    network = await engine.networks.create(NetworkSpec("narrow", options=options))
    subprocess.run(["ip", "link", "set", network.bridge, "mtu", "1000"], check=True)
    assert await engine.networks.faults("narrow") == []
    await engine.networks.repair("narrow")


@pytest.mark.parametrize("what", ["bridge", "pair"])
async def test_a_start_of_the_daemon_repairs(lab: Lab, engine: Engine, what: str) -> None:
    web, client = await _set_up(lab, engine)
    await engine.abandon()
    _take_away(lab, engine, web, what)
    await engine.start_again()
    for process in (web, client):
        await engine.networks.adopt(process.id, process.pid)
    await engine.networks.settle()
    await _check(lab, engine, client)


async def test_a_container_starts_where_the_bridge_was_deleted(lab: Lab, engine: Engine) -> None:
    web, client = await _set_up(lab, engine)
    _take_away(lab, engine, web, "bridge")
    late = lab.process()
    await engine.attach(late, "app", name="late")

    async def are_back() -> bool:
        return await engine.networks.faults("app") == []

    await eventually(are_back, "the others are on the new bridge")
    await _check(lab, engine, late)
    await _check(lab, engine, client)


async def test_anothers_interface_in_the_bridges_place_is_told(lab: Lab, engine: Engine) -> None:
    await _set_up(lab, engine)
    bridge = engine.networks.get("app").bridge
    take = f"ip link delete {bridge}; ip link add {bridge} type bridge"
    subprocess.run(["sh", "-ec", take], check=True)
    assert "another's interface" in {fault.found for fault in await engine.networks.faults("app")}
    with pytest.raises(Conflict, match=f"interface {bridge} exists already"):
        await engine.networks.repair("app")
    subprocess.run(["ip", "link", "delete", bridge], check=True)


async def test_a_repaired_network_goes_as_any_other(lab: Lab, engine: Engine) -> None:
    web, client = await _set_up(lab, engine)
    _take_away(lab, engine, web, "bridge")
    await engine.networks.repair("app")
    for process in (web, client):
        await engine.networks.detach(process.id)
    await engine.networks.remove("app")  # nothing is left: the fixture sees to it


async def test_drops_of_another_firewall_are_told(lab: Lab, engine: Engine) -> None:
    """iptables' older form gives no notice."""
    await _set_up(lab, engine)
    subprocess.run(["iptables-legacy", "-P", "FORWARD", "DROP"], check=True)
    faults = await engine.networks.faults("app")
    assert [(f.what, f.found) for f in faults] == [("iptables-legacy FORWARD", "dropping")]
    await engine.networks.repair("app")
    assert await engine.networks.faults("app") == []


async def test_what_the_engine_changes_itself_is_no_fault(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subnets that touch, as those of the default pools do, with all that a network may have."""
    rebuilds: list[str] = []
    rebuild = Firewall.rebuild

    def counted(self: Firewall) -> str:
        rebuilds.append(self.table)
        return rebuild(self)

    kernel = engine.networks._kernel
    _, client = await _set_up(lab, engine)
    monkeypatch.setattr(Firewall, "rebuild", counted)
    for number in range(1, 6):
        pools = (IpamPool(f"10.77.{number}.0/24"), IpamPool(f"fd77:0:0:{number}::/64"))
        spec = NetworkSpec(f"n{number}", pools=pools, internal=number == 3, enable_ipv6=True)
        await engine.networks.create(spec)
        assert await kernel.is_firewall_whole()
    late = lab.process()
    ports = (Publication(81, host_port=8081), Publication(53, "udp", "127.0.0.1", host_port=5300))
    await engine.attach(late, "n2", "n3", name="late", ports=ports)
    assert await kernel.is_firewall_whole()
    await engine.networks.detach(late.id)
    assert await kernel.is_firewall_whole()
    for number in (1, 4, 3):
        await engine.networks.remove(f"n{number}")
        assert await kernel.is_firewall_whole()
    assert rebuilds == [], "nothing but what changed was written"
    await _check(lab, engine, client)


@pytest.mark.parametrize(
    "change",
    [
        "delete element inet {0} local4 {{ 10.77.0.0/24 }}",
        "add element inet {0} local4 {{ 10.77.1.0/24 }}",
        "add element inet {0} published_any {{ tcp . 9999 : 10.77.0.2 . 80 }}",
        "flush set inet {0} bridges",
        "flush chain inet {0} to_bridge",
        "insert rule inet {0} to_bridge accept",
    ],
)
async def test_each_change_of_anothers_is_seen(lab: Lab, engine: Engine, change: str) -> None:
    """And undone at the kernel's notification, which this test turns off to look before."""
    await _set_up(lab, engine)
    await engine.networks._bridges._watch.close()
    kernel = engine.networks._kernel
    subprocess.run(["nft", change.format(kernel.firewall.table)], check=True)
    faults = await engine.networks.faults("app")
    assert [(fault.what, fault.found) for fault in faults] == [("firewall", "missing or changed")]
    await engine.networks.repair("app")
    assert await engine.networks.faults("app") == []


async def test_rules_that_nobody_has_changed_are_not_listed_again(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _set_up(lab, engine)
    runs: list[str] = []
    run = Nftables.run

    def counted(self: Nftables, commands: str, **options: Any) -> str:
        runs.append(commands)
        return run(self, commands, **options)

    monkeypatch.setattr(Nftables, "run", counted)
    generations: list[int | None] = []

    async def is_listed_again() -> bool:
        """Whether looking twice took a listing; tried again while others change their rules."""
        generations.append(await engine.networks._kernel.call(_generation))
        await engine.networks.faults("app")
        runs.clear()
        await engine.networks.faults("app")
        generations.append(await engine.networks._kernel.call(_generation))
        return bool(runs)

    assert await engine.networks.faults("app") == []
    while await is_listed_again():
        assert generations[-1] != generations[-2]
    table = engine.networks._kernel.firewall.table
    subprocess.run(["nft", f"add chain inet {table} strange"], check=True)
    assert await engine.networks._kernel.call(_generation) != generations[-1]
    runs.clear()
    await engine.networks._kernel.is_firewall_whole()
    assert runs


def _generation(host: Host) -> int | None:
    return host.nftables.generation()


async def test_pairs_are_read_again_once_the_kernel_tells_of_a_change(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a container's own namespace, too, of which nobody else is told."""
    web, _ = await _set_up(lab, engine)
    read: list[str] = []

    def counted(host: Host, pid: int, item: Plug, bridge: Link | None) -> list[Fault]:
        read.append(item.endpoint.container_name)
        return pair_faults(host, pid, item, bridge)

    monkeypatch.setattr(pairs, "pair_faults", counted)

    async def is_at_rest() -> bool:
        """The kernel goes on telling of new links for a moment."""
        read.clear()
        assert await engine.networks.faults("app") == []
        return not read

    await eventually(is_at_rest, "pairs that are not read again")
    lab.run_in(web, "ip address add 10.99.0.1/32 dev eth0")
    assert await engine.networks.faults("app") == []
    assert sorted(read) == ["client", "web"]
    await eventually(is_at_rest, "pairs that are not read again")
