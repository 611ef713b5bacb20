"""What stays shut: without the firewall's table, and from an internal network."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path

import pytest
from network_lab import Engine, Lab, Process

from stackr.runtime.engine.linux.netlink import NetlinkError
from stackr.runtime.engine.network import guard
from stackr.runtime.engine.network.types import NetworkSpec, Publication

pytestmark = pytest.mark.root

_INSIDE = NetworkSpec("inside", internal=True, enable_ipv6=True)

_FRAME = """
import socket, struct, sys, time
mac, source, target, tags = bytes.fromhex(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
udp = struct.pack("!4H", 4000, 5558, 8 + 5, 0) + b"hello"
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                   socket.inet_aton(source), socket.inet_aton(target))
total = sum(struct.unpack("!10H", head))
total = (total & 0xffff) + (total >> 16)
head = head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
own = s.getsockname()[4]
for _ in range(3):
    s.send(mac + own + b"\\x81\\0\\0\\0" * tags + b"\\x08\\0" + head + udp)
    time.sleep(0.05)
"""


def _mac_of(interface: str) -> str:
    argv = ["ip", "-br", "link", "show", interface]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return shown.split()[2].replace(":", "")


@asynccontextmanager
async def _flushed(engine: Engine) -> AsyncIterator[None]:
    """No table, and no daemon that would make it again."""
    await engine.abandon()
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    try:
        yield
    finally:
        await engine.start_again()


async def test_without_the_table_networks_stay_apart(lab: Lab, engine: Engine) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    for name in ("one", "two"):
        await engine.networks.create(NetworkSpec(name))
    web, mate, stranger = lab.process(), lab.process(), lab.process()
    address = await engine.attach(web, "one")
    await engine.attach(mate, "one", name="mate")
    await engine.attach(stranger, "two", name="stranger")
    lab.serve(web, 80, "web")
    lab.run_in(neighbour, f"ip route replace {address} via 10.9.0.1")
    async with _flushed(engine):
        assert await lab.is_cut_off(address, 80, source=stranger)
        assert await lab.is_cut_off(address, 80, source=neighbour)
        assert (await lab.ask(address, 80, source=mate)).startswith("web")
    assert (await lab.ask(address, 80)).startswith("web")


@pytest.mark.parametrize("flushed", [False, True])
async def test_no_frame_from_a_container_reaches_the_loopback(
    lab: Lab, engine: Engine, flushed: bool
) -> None:
    """Nor one with tags that the kernel takes off after the bridge's filter has seen them."""
    await engine.networks.create(NetworkSpec("one"))
    web = lab.process()
    ports = (Publication(80, host_ip="127.0.0.1", host_port=8080),)
    own = await engine.attach(web, "one", ports=ports)
    lab.serve(web, 80, "web")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listener:
        listener.bind(("127.0.0.1", 5558))
        listener.settimeout(0.3)
        mac = _mac_of(engine.networks.get("one").bridge)
        async with _flushed(engine) if flushed else nullcontext():
            for tags in range(3):
                lab.run_in(web, f"python3 -S -c '{_FRAME}' {mac} {own} 127.0.0.1 {tags}")
            with pytest.raises(TimeoutError):
                listener.recv(100)


async def test_the_relay_serves_the_loopback_on_a_kernel_without_filters(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NetlinkError(errno.EOPNOTSUPP, "Specified qdisc kind is unknown")

    monkeypatch.setattr(guard, "set_filter", refuse)
    network = await engine.networks.create(NetworkSpec("one"))
    web = lab.process()
    await engine.attach(web, "one", ports=(Publication(80, host_port=8080),))
    lab.serve(web, 80, "web")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
    gateway = network.spec.pools[0].gateway
    assert (await lab.ask(gateway, 8080)).startswith("web")
    setting = Path(f"/proc/sys/net/ipv4/conf/{network.bridge}/route_localnet")
    assert setting.read_text() == "0\n"


@pytest.mark.parametrize("flushed", [False, True])
async def test_an_internal_network_is_closed(lab: Lab, engine: Engine, flushed: bool) -> None:
    """Its containers reach services of the host at their gateway, as Docker's do, and no more."""
    lab.neighbour("10.9.0.2", "10.9.0.1")
    for spec in (NetworkSpec("open", enable_ipv6=True), _INSIDE):
        await engine.networks.create(spec)
    gateways = {n.name: [p.gateway for p in n.spec.pools] for n in engine.networks.list()}
    host, web, shut_in = _host_process(lab), lab.process(), lab.process()
    await engine.attach(web, "open", ports=(Publication(80, host_port=8080),))
    await engine.attach(shut_in, "inside", name="shut-in")
    lab.serve(web, 80, "web")
    lab.serve(host, 8081, "host")
    own4, own6 = gateways["inside"]
    lab.run_in(shut_in, f"ip route add default via {own4}; ip -6 route add default via {own6}")
    assert (await lab.ask(own4, 8081, source=shut_in)).startswith("host")
    link_local = _link_local(engine.networks.get("inside").bridge)
    everywhere = [own4, own6, link_local, *gateways["open"], "10.9.0.1"]
    doors = [(address, 8080) for address in everywhere]
    doors += [(address, 8081) for address in everywhere if address not in (own4, own6, link_local)]
    async with _flushed(engine) if flushed else nullcontext():
        shut = await asyncio.gather(*(lab.is_cut_off(*door, source=shut_in) for door in doors))
    assert all(shut), [door for door, is_shut in zip(doors, shut, strict=True) if not is_shut]


async def test_a_container_of_two_networks_is_no_way_out_of_an_internal_one(
    lab: Lab, engine: Engine
) -> None:
    """Namespaces inherit the host's forwarding, so that such a container would be a router."""
    for spec in (NetworkSpec("open"), _INSIDE):
        await engine.networks.create(spec)
    host, between, shut_in = _host_process(lab), lab.process(), lab.process()
    await engine.attach(between, "open", "inside")
    await engine.attach(shut_in, "inside", name="shut-in")
    lab.serve(host, 8081, "host")
    sandbox = engine.networks.sandbox(between.id)
    assert sandbox is not None
    lab.run_in(between, "sysctl -qw net.ipv4.ip_forward=1")
    router = sandbox.endpoints["inside"].ipv4_address
    lab.run_in(shut_in, f"ip route add default via {router}")
    gateway = engine.networks.get("open").spec.pools[0].gateway
    assert (await lab.ask(gateway, 8081, source=between)).startswith("host")
    assert await lab.is_cut_off(gateway, 8081, source=shut_in)


def _host_process(lab: Lab) -> Process:
    """One in the namespace that stands for the host."""
    process = Process(subprocess.Popen(["sleep", "600"]))
    lab._processes.append(process)
    return process


def _link_local(bridge: str) -> str:
    argv = ["ip", "-6", "-br", "address", "show", "dev", bridge, "scope", "link"]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return shown.split()[2].partition("/")[0] + "%eth0"
