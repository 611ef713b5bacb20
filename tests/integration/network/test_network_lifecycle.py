"""What survives what: restarts of the engine, crashes at any point, others' firewalls."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping, Sequence

import pytest
from network_lab import (
    Engine,
    Lab,
    eventually,
    host_interfaces,
    ruleset,
)
from open_files import many_descriptors

from stackr.errors import (
    AlreadyExists,
    Conflict,
    Internal,
    InvalidArgument,
    NotFound,
    NotSupported,
    PermissionDenied,
    StackrError,
)
from stackr.runtime.engine.linux import nftables
from stackr.runtime.engine.network.host_routes import HostSubnet
from stackr.runtime.engine.network.types import EndpointSpec, IpamPool, NetworkSpec, Publication

pytestmark = pytest.mark.root


async def test_a_restarted_engine_carries_on(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web, client = lab.process(), lab.process()
    address = await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    await engine.attach(client, "app", name="client")
    lab.serve(web, 80, "web")
    before = engine.networks.sandbox(web.id)

    await engine.restart()
    # The kernel forwards before anything is adopted.
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    await engine.networks.adopt(web.id, web.pid)
    await engine.networks.adopt(client.id, client.pid)
    await engine.networks.settle()

    assert engine.networks.sandbox(web.id) == before
    assert (await lab.ask("::1", 8080)).startswith("web")
    assert await lab.dig(client, "+short", "web") == [address]
    late = lab.process()
    assert await engine.attach(late, "app", name="late") not in (address, "")


async def test_engines_that_choose_at_once_choose_apart(
    lab: Lab, engine: Engine, second_engine: Engine
) -> None:
    """Each sees what is free before any has taken it."""
    made = await asyncio.gather(
        *(
            each.networks.create(NetworkSpec(name))
            for name in "abc"
            for each in (engine, second_engine)
        )
    )
    subnets = [pool.subnet for network in made for pool in network.spec.pools]
    assert len({*subnets}) == len(made)
    routes = subprocess.run(["ip", "route"], check=True, capture_output=True, text=True).stdout
    for network, subnet in zip(made, subnets, strict=True):
        assert f"{subnet} dev {network.bridge} " in routes
        owner = engine if network in engine.networks.list() else second_engine
        assert owner.networks.get(network.id) == network
    both = [(engine, lab.process()), (second_engine, lab.process())]
    addresses = await asyncio.gather(*(each.attach(web, "bridge") for each, web in both))
    for address, (_, web) in zip(addresses, both, strict=True):
        lab.serve(web, 80, address)
        assert (await lab.ask(address, 80)).startswith(address)


async def test_containers_that_ended_meanwhile_are_dropped(lab: Lab, engine: Engine) -> None:
    network = await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    other = lab.process()
    await engine.attach(other, "app", name="other")
    web.kill()
    await engine.restart()
    await engine.networks.adopt(web.id, web.pid)  # nobody has noticed yet
    await engine.networks.detach(web.id)
    await engine.networks.settle()
    assert engine.networks.sandbox(web.id) is None
    assert "8080" not in ruleset()
    await engine.networks.remove("app")
    assert network.bridge not in host_interfaces()
    with pytest.raises(NotFound, match="network app not found"):
        engine.networks.get("app")


async def test_a_start_finishes_what_a_crash_left(lab: Lab, engine: Engine) -> None:
    kept = await engine.networks.create(NetworkSpec("kept"))
    gone = await engine.networks.create(NetworkSpec("gone"))
    # A crash after the record was deleted, and one before the bridge was made.
    engine.state.delete("network", gone.id)
    subprocess.run(["ip", "link", "delete", kept.bridge], check=True)
    # A pair on one of our bridges that belongs to no container.
    await engine.restart()
    assert kept.bridge in host_interfaces()
    assert gone.bridge not in host_interfaces()
    subprocess.run(
        ["ip", "link", "add", "skvstray", "master", kept.bridge, "type", "veth"], check=True
    )
    await engine.restart()
    assert "skvstray" not in host_interfaces()


@pytest.mark.parametrize(
    "fault",
    [
        "flush ruleset",
        "delete table inet {table}",
        "flush chain inet {table} forward",
        "delete element inet {table} published_any {{ tcp . 8080 }}",
        "insert rule inet {table} forward accept",
    ],
)
async def test_a_changed_table_is_made_again_at_once(lab: Lab, engine: Engine, fault: str) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    table = engine.config.nft_table
    before = ruleset()
    subprocess.run(["nft", fault.format(table=table)], check=True)

    async def is_whole() -> bool:
        return ruleset() == before

    await eventually(is_whole, "the table is as it was")


async def test_a_change_finds_the_table_that_was_flushed(lab: Lab, engine: Engine) -> None:
    """Whatever the notifications say, or do not."""
    await engine.networks.create(NetworkSpec("app"))
    web, client = lab.process(), lab.process()
    await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    await engine.networks._bridges._watch.close()
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    await engine.attach(client, "app", name="client", ports=(Publication(80, host_port=8081),))
    assert "8080" in ruleset()
    assert "8081" in ruleset()


async def test_many_containers_start_together(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    processes = [lab.process() for _ in range(12)]
    addresses = await asyncio.gather(
        *(
            engine.attach(p, "app", name=f"c{i}", ports=(Publication(80, host_port=9000 + i),))
            for i, p in enumerate(processes)
        )
    )
    assert len(set(addresses)) == 12
    lab.serve(processes[7], 80, "seven")
    assert (await lab.ask("127.0.0.1", 9007)).startswith("seven")


async def test_a_container_that_is_gone_leaves_nothing(lab: Lab, engine: Engine) -> None:
    network = await engine.networks.create(NetworkSpec("app"))
    dead = lab.process()
    dead.kill()
    with pytest.raises(Internal, match="cannot be connected to its networks"):
        await engine.attach(dead, "app", ports=(Publication(80, host_port=8080),))
    assert not engine.networks.endpoints(network.id)
    assert "8080" not in ruleset()
    assert not [name for name in host_interfaces() if name.startswith("skv")]


async def test_the_engine_lives_beside_a_firewall_that_drops(lab: Lab, engine: Engine) -> None:
    """As dockerd leaves it."""
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    subprocess.run(["iptables-nft", "-P", "FORWARD", "DROP"], check=True)
    subprocess.run(["iptables-nft", "-N", "DOCKER-USER"], check=True)
    subprocess.run(["iptables-nft", "-A", "FORWARD", "-j", "DOCKER-USER"], check=True)
    before = subprocess.run(["iptables-nft", "-S"], check=True, capture_output=True).stdout
    await engine.networks.create(NetworkSpec("app"))
    web, mate = lab.process(), lab.process()
    address = await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    await engine.attach(mate, "app", name="mate")
    lab.serve(web, 80, "web")
    assert await lab.ask("10.9.0.1", 8080, source=neighbour) == "web ::ffff:10.9.0.2"
    assert (await lab.ask(address, 80, source=mate)).startswith("web")
    await engine.restart()
    await engine.networks.settle()
    await engine.networks.remove("app")
    after = subprocess.run(["iptables-nft", "-S"], check=True, capture_output=True).stdout
    assert after == before


async def test_a_firewall_that_drops_may_come_later(lab: Lab, engine: Engine) -> None:
    """As with a dockerd or ufw that starts, or flushes what it has."""
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    network = await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    lab.serve(web, 80, "web")
    for command in ("-P FORWARD DROP", "-F FORWARD"):
        subprocess.run(["iptables-nft", *command.split()], check=True)

        async def is_accepted() -> bool:
            return f"-i {network.bridge} -j ACCEPT" in ruleset_of_iptables() and (
                "-A FORWARD -j STACKR" in ruleset_of_iptables()
            )

        await eventually(is_accepted, "our bridges are accepted")
    assert await lab.ask("10.9.0.1", 8080, source=neighbour) == "web ::ffff:10.9.0.2"


def ruleset_of_iptables() -> str:
    argv = ["iptables-nft", "-S"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


async def test_networks_in_use_and_predefined_ones_stay(lab: Lab, engine: Engine) -> None:
    network = await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    await engine.attach(web, "app")
    text = f"error while removing network: network app id {network.id} has active endpoints"
    with pytest.raises(PermissionDenied, match=text):
        await engine.networks.remove("app")
    with pytest.raises(PermissionDenied, match="is a pre-defined network and cannot be removed"):
        await engine.networks.remove("bridge")
    with pytest.raises(AlreadyExists, match="network with name app already exists"):
        await engine.networks.create(NetworkSpec("app"))
    unused = await engine.networks.create(NetworkSpec("unused"))
    assert await engine.networks.prune() == [unused.name]


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        (NetworkSpec("x", driver="overlay"), NotSupported, "driver is not supported: overlay"),
        (
            NetworkSpec("x", options={"com.docker.network.foo": "bar"}),
            NotSupported,
            "not supported: com.docker.network.foo",
        ),
        (NetworkSpec("x", driver="nonesuch"), NotFound, 'plugin "nonesuch" not found'),
        (NetworkSpec("x", ipam_driver="nonesuch"), NotFound, 'plugin "nonesuch" not found'),
        (NetworkSpec("x", config_from="nonesuch"), NotFound, 'network "nonesuch" not found'),
        (NetworkSpec("a/b"), InvalidArgument, "invalid name"),
        (NetworkSpec("  "), InvalidArgument, "name is empty"),
        (NetworkSpec("bridge"), PermissionDenied, "predefined bridge network"),
        (NetworkSpec("x", pools=(IpamPool("10.9.0.0/25"),)), PermissionDenied, "Pool overlaps"),
        (NetworkSpec("x", pools=(IpamPool("nonsense"),)), InvalidArgument, "invalid subnet"),
        (
            NetworkSpec("x", options={"com.docker.network.bridge.name": "lan0"}),
            Conflict,
            "interface lan0 exists already",
        ),
    ],
)
async def test_a_bad_request_leaves_nothing(
    lab: Lab, engine: Engine, spec: NetworkSpec, error: type[Exception], text: str
) -> None:
    lab.neighbour("10.9.0.2", "10.9.0.1")
    before = host_interfaces()
    with pytest.raises(error, match=text):
        await engine.networks.create(spec)
    assert host_interfaces() == before
    assert [network.name for network in engine.networks.list()] == ["bridge", "host", "none"]


async def test_a_network_takes_its_settings_from_another(lab: Lab, engine: Engine) -> None:
    before = host_interfaces()
    pools = (IpamPool("10.77.0.0/24"),)
    settings = NetworkSpec("the settings", pools=pools, labels={"a": "1"}, config_only=True)
    made = await engine.networks.create(settings)
    assert (made.driver, made.bridge, host_interfaces()) == ("null", "", before)
    asked = NetworkSpec("app", config_from="the settings", options={})
    network = await engine.networks.create(asked)
    assert [pool.subnet for pool in network.spec.pools] == ["10.77.0.0/24"]
    assert (network.spec.labels, network.spec.config_from) == ({"a": "1"}, "the settings")
    with pytest.raises(PermissionDenied, match='configuration network "the settings" is in use'):
        await engine.networks.remove("the settings")
    with pytest.raises(PermissionDenied, match="cannot create endpoint on configuration-only"):
        await engine.attach(lab.process(), "the settings")
    await engine.networks.remove("app")
    await engine.networks.remove("the settings")


async def test_host_and_none_need_nothing_of_the_kernel(lab: Lab, engine: Engine) -> None:
    one, two = lab.process(), lab.process()
    before = host_interfaces()
    await engine.attach(one, "none", name="one")
    await engine.attach(two, "host", name="two")
    assert host_interfaces() == before
    for process, name in ((one, "none"), (two, "host")):
        info = engine.networks.sandbox(process.id)
        assert info is not None
        assert list(info.endpoints) == [name]
    with pytest.raises(Conflict, match="multiple networks"):
        await engine.networks.connect(one.id, EndpointSpec("bridge"))


async def test_two_engines_share_a_host(lab: Lab, engine: Engine, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    from stackr.runtime.engine.config import EngineConfig
    from stackr.runtime.engine.events import EventBus
    from stackr.runtime.engine.network.service import Networks
    from stackr.runtime.engine.state import State

    folder = tmp_path_factory.mktemp("second")
    config = EngineConfig.at(folder, folder / "run")
    state = State.open(config.database)
    second = Networks(config, state, EventBus(), host_resolv_conf=engine.resolv_conf)
    await second.open()
    first = await engine.networks.create(NetworkSpec("app"))
    other = await second.create(NetworkSpec("app"))
    assert first.spec.pools != other.spec.pools
    web = lab.process()
    await engine.attach(web, "bridge", ports=(Publication(80, host_port=8080),))
    lab.serve(web, 80, "web")
    await second.remove("app")
    await second.close()
    state.close()
    assert first.bridge in host_interfaces()
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")


async def test_starts_that_are_cancelled_leave_nothing(lab: Lab, engine: Engine) -> None:
    network = await engine.networks.create(NetworkSpec("app"))
    processes = [lab.process() for _ in range(6)]
    for turns, process in enumerate(processes):
        ports = (Publication(80, host_port=8080),)
        start = asyncio.create_task(engine.attach(process, "app", ports=ports))
        for _ in range(turns * 2):
            await asyncio.sleep(0)
        if start.cancel():
            with pytest.raises(asyncio.CancelledError):
                await start
        else:  # it was quicker
            await engine.networks.detach(process.id)
        assert not engine.networks.endpoints(network.id)
    await engine.attach(processes[0], "app", ports=(Publication(80, host_port=8080),))
    assert sum(name.startswith("skv") for name in host_interfaces()) == 1


async def test_a_network_that_goes_while_a_container_comes(lab: Lab, engine: Engine) -> None:
    """Whoever is first wins; the other gets an error, and the kernel is clean."""
    processes = [lab.process() for _ in range(4)]
    for number, process in enumerate(processes):
        network = await engine.networks.create(NetworkSpec(f"app{number}"))
        outcomes = await asyncio.gather(
            engine.attach(process, network.name),
            engine.networks.remove(network.id),
            return_exceptions=True,
        )
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(failures) == 1
        assert isinstance(failures[0], StackrError)
        attached = engine.networks.sandbox(process.id) is not None
        assert (network.bridge in host_interfaces()) == attached


async def test_networks_are_made_by_a_process_with_many_descriptors(
    lab: Lab, engine: Engine
) -> None:
    """libnftables ends a process that gives it a descriptor above 1,023."""
    with many_descriptors():
        await engine.restart()
        await engine.networks.create(NetworkSpec("app"))
        web = lab.process()
        address = await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
        lab.serve(web, 80, "web")
        assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
        assert await lab.dig(web, "+short", "web") == [address]
        await engine.restart()
        await engine.networks.adopt(web.id, web.pid)
        assert await lab.dig(web, "+short", "web") == [address]


async def test_the_nft_program_serves_where_its_library_is_missing(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nftables, "_library", lambda: None)
    await engine.restart()
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    address = await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
    lab.serve(web, 80, "web")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    assert await lab.dig(web, "+short", "web") == [address]
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Internal, match="nftables: cannot be run"):
        await engine.networks._kernel.rebuild()
    monkeypatch.undo()
    await engine.restart()
    await engine.networks.adopt(web.id, web.pid)


async def test_the_hosts_routes_are_read_again_only_where_others_change(engine: Engine) -> None:
    """However many networks there are."""
    routes = engine.networks._host_routes
    readings: list[object] = []
    read = routes._read

    def counted() -> Mapping[str, Sequence[HostSubnet]]:
        readings.append(None)
        return read()

    routes._read = counted
    await engine.networks.create(NetworkSpec("before"))
    count = len(readings)
    for number in range(5):
        await engine.networks.create(NetworkSpec(f"more-{number}", enable_ipv6=number == 1))
    for number in range(5):
        await engine.networks.remove(f"more-{number}")
    await engine.networks.create(NetworkSpec("after"))
    assert len(readings) == count
    last = (await engine.networks.create(NetworkSpec("last"))).spec.pools[0].subnet
    await engine.networks.remove("last")
    subprocess.run(["ip", "link", "add", "lan", "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", "lan", "up"], check=True)
    subprocess.run(["ip", "route", "add", last, "dev", "lan"], check=True)
    assert (await engine.networks.create(NetworkSpec("last"))).spec.pools[0].subnet != last
    await engine.networks.remove("last")
    subprocess.run(["ip", "link", "delete", "lan"], check=True)
    assert (await engine.networks.create(NetworkSpec("last"))).spec.pools[0].subnet == last


async def test_the_hosts_nameservers_stay_reachable(engine: Engine) -> None:
    """They may be where nothing but the default route leads."""
    [pool] = (await engine.networks.create(NetworkSpec("app"))).spec.pools
    await engine.networks.remove("app")
    nameserver = pool.gateway
    engine.resolv_conf.write_text(f"nameserver 127.0.0.53\nnameserver {nameserver}\n")
    [other] = (await engine.networks.create(NetworkSpec("app"))).spec.pools
    assert other.subnet != pool.subnet
    await engine.networks.remove("app")
    named = NetworkSpec("app", pools=(IpamPool(pool.subnet),))
    assert (await engine.networks.create(named)).spec.pools[0].subnet == pool.subnet


async def test_networks_that_are_being_made_are_seen_to_their_end(engine: Engine) -> None:
    """Where the engine stops meanwhile."""
    making = [asyncio.create_task(engine.networks.create(NetworkSpec("first")))]
    await asyncio.sleep(0)
    closing = asyncio.create_task(engine.networks._bridges.close(remove=False))
    for number in range(20):
        await asyncio.sleep(0)
        making.append(asyncio.create_task(engine.networks.create(NetworkSpec(f"more-{number}"))))
    await closing
    await asyncio.gather(*making)
