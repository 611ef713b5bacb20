"""Who reaches whom: within a network, across networks, through published ports."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from functools import partial

import pytest
from network_lab import SCTP, Engine, Lab

from stackr.errors import Conflict, PermissionDenied
from stackr.runtime.engine.network.types import EndpointSpec, IpamPool, NetworkSpec, Publication

pytestmark = pytest.mark.root


async def test_containers_of_a_network_reach_each_other(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web, client = lab.process(), lab.process()
    address = await engine.attach(web, "app")
    own = await engine.attach(client, "app", name="client")
    lab.serve(web, 80, "web")
    assert await lab.ask(address, 80, source=client) == f"web ::ffff:{own}"


async def test_networks_are_apart(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("one"))
    await engine.networks.create(NetworkSpec("two"))
    web, client = lab.process(), lab.process()
    address = await engine.attach(web, "one")
    await engine.attach(client, "two", name="client")
    lab.serve(web, 80, "web")
    assert await lab.is_cut_off(address, 80, source=client)


async def test_a_network_without_icc_keeps_its_containers_apart(lab: Lab, engine: Engine) -> None:
    options = {"com.docker.network.bridge.enable_icc": "false"}
    await engine.networks.create(NetworkSpec("apart", options=options))
    web, client = lab.process(), lab.process()
    address = await engine.attach(web, "apart")
    await engine.attach(client, "apart", name="client")
    lab.serve(web, 80, "web")
    assert await lab.is_cut_off(address, 80, source=client)
    assert (await lab.ask(address, 80)).startswith("web")


@pytest.mark.parametrize("protocol", ["tcp", "udp", SCTP])
async def test_a_published_port_is_reached_from_everywhere(
    lab: Lab, engine: Engine, protocol: str
) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    await engine.networks.create(NetworkSpec("app"))
    await engine.networks.create(NetworkSpec("other"))
    web, mate, stranger = lab.process(), lab.process(), lab.process()
    binding = Publication(80, protocol, host_port=8080)
    address = await engine.attach(web, "app", ports=(binding,))
    await engine.attach(mate, "app", name="mate")
    await engine.attach(stranger, "other", name="stranger")
    lab.serve(web, 80, "web", protocol=protocol)
    gateway = engine.networks.get("app").spec.pools[0].gateway

    ask = partial(lab.ask, port=8080, protocol=protocol)

    # The relay serves ::1; all else is the kernel's, which keeps a neighbour's address.
    assert await ask("127.0.0.1") == f"web ::ffff:{gateway}"
    assert await ask("::1") == f"web ::ffff:{gateway}"
    assert (await ask("10.9.0.1")).startswith("web")
    assert await ask("10.9.0.1", source=neighbour) == "web ::ffff:10.9.0.2"
    assert (await ask("10.9.0.1", source=mate)).startswith("web")
    assert (await ask("10.9.0.1", source=stranger)).startswith("web")
    assert (await ask("10.9.0.1", source=web)).startswith("web")
    # What is not published is not reached from outside, not even by its own address.
    assert await lab.is_cut_off(address, 80, source=neighbour, protocol=protocol)


async def test_a_port_of_one_host_address_is_not_on_the_others(lab: Lab, engine: Engine) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    web = lab.process()
    ports = (
        Publication(80, host_ip="127.0.0.1", host_port=8080),
        Publication(80, host_ip="10.9.0.1", host_port=8081),
    )
    await engine.attach(web, "bridge", ports=ports)
    lab.serve(web, 80, "web")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    assert await lab.is_cut_off("10.9.0.1", 8080)
    assert await lab.is_cut_off("10.9.0.1", 8080, source=neighbour)
    assert (await lab.ask("10.9.0.1", 8081, source=neighbour)).startswith("web")
    assert await lab.is_cut_off("127.0.0.1", 8081)


async def test_a_neighbour_does_not_reach_ports_of_the_loopback(lab: Lab, engine: Engine) -> None:
    """A packet for 127.0.0.1 that arrives from outside must not be forwarded."""
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    web = lab.process()
    ports = (Publication(80, host_ip="127.0.0.1", host_port=8080),)
    await engine.attach(web, "bridge", ports=ports)
    lab.serve(web, 80, "web")
    lab.run_in(
        neighbour,
        "ip link set lo down; ip route add 127.0.0.1/32 via 10.9.0.1 table main;"
        " sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.lan0.route_localnet=1;"
        " ip route del local 127.0.0.0/8 table local 2>/dev/null || true",
    )
    assert await lab.is_cut_off("127.0.0.1", 8080, source=neighbour)


async def test_containers_reach_the_outside_under_the_hosts_address(
    lab: Lab, engine: Engine
) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    lab.run_in(neighbour, "ip route del default")
    lab.serve(neighbour, 80, "outside")
    client, shut_in = lab.process(), lab.process()
    await engine.networks.create(NetworkSpec("inside", internal=True))
    await engine.attach(client, "bridge")
    await engine.attach(shut_in, "inside", name="shut-in")
    assert await lab.ask("10.9.0.2", 80, source=client) == "outside ::ffff:10.9.0.1"
    assert await lab.is_cut_off("10.9.0.2", 80, source=shut_in)
    # Not even with a route of its own making.
    gateway = engine.networks.get("inside").spec.pools[0].gateway
    lab.run_in(shut_in, f"ip route add default via {gateway}")
    assert await lab.is_cut_off("10.9.0.2", 80, source=shut_in)


async def test_an_internal_network_talks_within_itself(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("inside", internal=True))
    web, client = lab.process(), lab.process()
    info_address = await engine.attach(web, "inside", ports=(Publication(80, host_port=8080),))
    await engine.attach(client, "inside", name="client")
    lab.serve(web, 80, "web")
    assert (await lab.ask(info_address, 80, source=client)).startswith("web")
    sandbox = engine.networks.sandbox(web.id)
    assert sandbox is not None
    assert sandbox.ports == ()


async def test_a_port_that_another_process_holds_is_named(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    with closing(socket.create_server(("0.0.0.0", 8080))):
        with pytest.raises(Conflict) as failure:
            await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))
        text = str(failure.value)
        assert text.startswith("driver failed programming external connectivity on endpoint web (")
        assert "failed to bind host port for 0.0.0.0:8080:" in text
        assert text.endswith(":80/tcp: address already in use")
        assert engine.networks.sandbox(web.id) is None
        assert not engine.networks.endpoints(engine.networks.get("app").id)
    # Nothing is left of the attempt: the same call works once the port is free.
    await engine.attach(web, "app", ports=(Publication(80, host_port=8080),))


async def test_a_published_port_is_taken_for_everybody_else(lab: Lab, engine: Engine) -> None:
    one, two = lab.process(), lab.process()
    await engine.attach(one, "bridge", name="one", ports=(Publication(80, host_port=8080),))
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", 8080))
    with pytest.raises(Conflict, match=r"0\.0\.0\.0:8080"):
        await engine.attach(two, "bridge", name="two", ports=(Publication(80, host_port=8080),))
    await engine.networks.detach(one.id)
    await engine.attach(two, "bridge", name="two", ports=(Publication(80, host_port=8080),))


async def test_a_port_range_gives_its_first_free_port(lab: Lab, engine: Engine) -> None:
    web = lab.process()
    with closing(socket.create_server(("0.0.0.0", 8080))):
        binding = Publication(80, host_port=8080, host_port_end=8082)
        await engine.attach(web, "bridge", ports=(binding, Publication(81)))
    info = engine.networks.sandbox(web.id)
    assert info is not None
    chosen = {port.container_port: port.host_port for port in info.ports}
    first, last = engine.config.published_port_range
    assert chosen[80] == 8081
    assert first <= chosen[81] <= last


async def test_a_restarted_container_keeps_its_udp_clients(lab: Lab, engine: Engine) -> None:
    """A flow that goes on while its container is replaced must reach the new one."""
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    binding = (Publication(53, "udp", host_port=5353),)
    one, two = lab.process(), lab.process()
    await engine.attach(one, "bridge", name="one", ports=binding)
    server = lab.serve(one, 53, "one", protocol="udp")
    ask = f"import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n{_FLOW}"
    flow = ["nsenter", "-n", "-t", str(neighbour.pid), "python3", "-S", "-c", ask]
    client = await asyncio.create_subprocess_exec(
        *flow, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(b"\n")
    assert (await client.stdout.readline()).startswith(b"one")
    server.kill()
    one.kill()
    await engine.networks.detach(one.id)
    await engine.attach(two, "bridge", name="two", ports=binding)
    lab.serve(two, 53, "two", protocol="udp")
    client.stdin.write(b"\n")
    assert (await client.stdout.readline()).startswith(b"two")
    client.stdin.close()
    await client.wait()


_FLOW = """
s.settimeout(30)
s.connect(("10.9.0.1", 5353))
for _ in sys.stdin:
    s.send(b"?")
    try:
        print(s.recv(100).decode(), flush=True)
    except TimeoutError:
        print("silence", flush=True)
"""


async def test_ipv6_within_a_network_and_to_the_outside(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("six", enable_ipv6=True))
    web, client = lab.process(), lab.process()
    await engine.attach(web, "six")
    await engine.attach(client, "six", name="client")
    info = engine.networks.sandbox(web.id)
    assert info is not None
    address = info.endpoints["six"].ipv6_address
    assert address.startswith("fd")
    lab.serve(web, 80, "web")
    assert (await lab.ask(address, 80, source=client)).startswith("web fd")
    assert (await lab.ask(address, 80)).startswith("web fd")
    answer = await lab.dig(client, "+short", "web", "AAAA")
    assert answer == [address]


async def test_static_addresses_and_their_errors(lab: Lab, engine: Engine) -> None:
    pool = IpamPool("10.77.0.0/24", gateway="10.77.0.254")
    await engine.networks.create(NetworkSpec("fixed", pools=(pool,)))
    one, two = lab.process(), lab.process()
    wanted = EndpointSpec("fixed", ipv4_address="10.77.0.9", mac_address="02:11:22:33:44:55")
    assert await engine.attach(one, wanted, name="one") == "10.77.0.9"
    shown = lab.run_in(one, "ip -o address show; ip link show eth0; ip route")
    assert "10.77.0.9/24" in shown
    assert "02:11:22:33:44:55" in shown
    assert "default via 10.77.0.254" in shown
    with pytest.raises(PermissionDenied, match="Address already in use"):
        await engine.attach(two, EndpointSpec("fixed", ipv4_address="10.77.0.9"), name="two")


async def test_a_running_container_is_connected_and_disconnected(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("a"))
    await engine.networks.create(NetworkSpec("b"))
    web, client = lab.process(), lab.process()
    await engine.attach(web, "a")
    await engine.attach(client, "b", name="client")
    lab.serve(web, 80, "web")

    endpoint = await engine.networks.connect(web.id, EndpointSpec("b", aliases=("www",)))
    assert endpoint.interface == "eth1"
    assert (await lab.ask(endpoint.ipv4_address, 80, source=client)).startswith("web")
    assert await lab.dig(client, "+short", "www") == [endpoint.ipv4_address]
    with pytest.raises(PermissionDenied, match="already exists in network b"):
        await engine.networks.connect(web.id, EndpointSpec("b"))

    await engine.networks.disconnect(web.id, "a")
    gateway = engine.networks.get("b").spec.pools[0].gateway
    assert f"default via {gateway}" in lab.run_in(web, "ip route")
    await engine.networks.disconnect(web.id, "b")
    assert "eth" not in lab.run_in(web, "ip -o link")


async def test_the_default_route_follows_the_priority(lab: Lab, engine: Engine) -> None:
    for name in ("a", "b"):
        await engine.networks.create(NetworkSpec(name))
    web = lab.process()
    await engine.attach(web, "a", EndpointSpec("b", gw_priority=1))
    gateway = engine.networks.get("b").spec.pools[0].gateway
    assert f"default via {gateway} dev eth1" in lab.run_in(web, "ip route")


async def test_published_ports_follow_a_container_through_its_networks(
    lab: Lab, engine: Engine
) -> None:
    for name in ("a", "b"):
        await engine.networks.create(NetworkSpec(name))
    web = lab.process()
    await engine.attach(web, "b", ports=(Publication(80, host_port=8080),))
    lab.serve(web, 80, "web")
    await engine.networks.connect(web.id, EndpointSpec("a"))  # takes the default route
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    await engine.networks.disconnect(web.id, "b")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    assert (await lab.ask("::1", 8080)).startswith("web")
    await engine.restart()
    await engine.networks.adopt(web.id, web.pid)
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    await engine.networks.disconnect(web.id, "a")
    info = engine.networks.sandbox(web.id)
    assert info is not None
    assert (info.ports, dict(info.endpoints)) == ((), {})
    socket.create_server(("0.0.0.0", 8080)).close()
