"""A container takes another's place: who asks is not refused, who is served is not cut off."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from network_lab import DEADLINE_S, Engine, Lab, Process, eventually, ruleset
from polling import until

from stackr.errors import Conflict, Internal
from stackr.runtime.engine.linux import conntrack
from stackr.runtime.engine.network.types import (
    Connections,
    ContainerNet,
    EndpointSpec,
    NetworkSpec,
    Publication,
)

pytestmark = pytest.mark.root

TCP = Publication(80, host_port=8080)
UDP = Publication(53, "udp", host_port=5353)


@dataclass
class Service:
    """Containers that are instances of one service `web`, on the network `app`."""

    lab: Lab
    engine: Engine
    ports: tuple[Publication, ...] = (TCP,)
    client: Process | None = None

    async def open(self) -> None:
        await self.engine.networks.create(NetworkSpec("app"))
        self.client = self.lab.process()
        await self.engine.attach(self.client, "app", name="client")

    def settings(
        self, process: Process, name: str, ports: tuple[Publication, ...] | None = None
    ) -> ContainerNet:
        ports = self.ports if ports is None else ports
        endpoints = (EndpointSpec("app", aliases=("web", "www")),)
        return ContainerNet(process.id, name, endpoints, ports, hostname="host-of-web")

    async def start(self, name: str, *, standby: bool) -> tuple[Process, str]:
        """A container that answers with its name, and its address."""
        process = self.lab.process()
        endpoint = EndpointSpec("app", aliases=("web", "www"))
        address = await self.engine.attach(
            process, endpoint, name=name, ports=self.ports, standby=standby
        )
        self.lab.serve(process, 80, name)
        self.lab.serve(process, 53, name, protocol="udp")
        return process, address

    async def promote(
        self,
        process: Process,
        name: str,
        replaces: Process | None = None,
        ports: tuple[Publication, ...] | None = None,
    ) -> None:
        container = self.settings(process, name, ports)
        old = replaces.id if replaces else ""
        await self.engine.networks.promote(container, old, lambda: None)

    async def names(self, name: str) -> list[str]:
        assert self.client is not None
        return sorted(await self.lab.dig(self.client, "+short", name))

    def published(self, process: Process) -> list[tuple[str, int]]:
        sandbox = self.engine.networks.sandbox(process.id)
        assert sandbox is not None
        return sorted((port.host_ip, port.host_port) for port in sandbox.ports)


@pytest.fixture
async def service(lab: Lab, engine: Engine) -> Service:
    service = Service(lab, engine)
    await service.open()
    return service


async def test_in_standby_it_is_there_unseen(lab: Lab, service: Service) -> None:
    old, first = await service.start("old", standby=False)
    new, second = await service.start("new", standby=True)
    assert await service.names("web") == [first]
    assert await service.names("www") == [first]
    assert await service.names("new") == [second]
    assert await service.names(new.id[:12]) == [second]
    assert await service.names("host-of-web") == []
    assert service.published(new) == []
    assert service.published(old) == [("0.0.0.0", 8080), ("::", 8080)]
    assert (await lab.ask("127.0.0.1", 8080)).startswith("old")
    assert (await lab.ask(second, 80)).startswith("new")
    await service.engine.networks.disconnect(new.id, "app")
    await service.engine.networks.connect(new.id, EndpointSpec("app", aliases=("web",)))
    assert await service.names("web") == [first], "another network's aliases wait as well"


async def test_ports_and_names_move_and_come_back(lab: Lab, service: Service) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    service.ports = (TCP, UDP)
    old, first = await service.start("old", standby=False)
    new, second = await service.start("new", standby=True)

    async def everywhere(protocol: str) -> set[str]:
        port = 5353 if protocol == "udp" else 8080
        sources = [("127.0.0.1", None), ("::1", None), ("10.9.0.1", None), ("10.9.0.1", neighbour)]
        sources += [("10.9.0.1", service.client), ("10.9.0.1", old), ("10.9.0.1", new)]
        asked = (lab.ask(a, port, source=source, protocol=protocol) for a, source in sources)
        answers = await asyncio.gather(*asked)
        return {answer.partition(" ")[0] for answer in answers}

    for current, other, address in ((new, old, second), (old, new, first), (new, old, second)):
        name = "new" if current is new else "old"
        await service.promote(current, name, other)
        assert await everywhere("tcp") == {name}
        assert await everywhere("udp") == {name}
        for alias in ("web", "www", "host-of-web", "web.app"):
            assert await service.names(alias) == [address]
        assert service.published(current) == [
            *(("0.0.0.0", 5353), ("0.0.0.0", 8080), ("::", 5353), ("::", 8080))
        ]
        assert service.published(other) == []
        assert (await service.names("old"), await service.names("new")) == ([first], [second])
    old.kill()
    await service.engine.networks.detach(old.id)
    assert await everywhere("tcp") == {"new", ""}, "the old one asks no more"
    assert await service.names("old") == []
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("0.0.0.0", 8080))


async def test_a_name_of_both_is_the_new_ones(lab: Lab, service: Service) -> None:
    """As with `container_name: web`, which is the service's name, too."""
    old, _ = await service.start("web", standby=False)
    new, second = await service.start("web-new", standby=True)
    await service.promote(new, "web-new", old)
    assert await service.names("web") == [second]
    service.engine.networks.rename(old.id, "web-old")
    service.engine.networks.rename(new.id, "web")
    assert await service.names("web") == [second]
    assert len(await service.names("web-old")) == 1
    assert await service.names("web-new") == []


async def test_without_another_the_ports_are_bound(lab: Lab, service: Service) -> None:
    new, address = await service.start("new", standby=True)
    await service.promote(new, "new")
    assert (await lab.ask("127.0.0.1", 8080)).startswith("new")
    assert (await lab.ask("::1", 8080)).startswith("new")
    assert await service.names("web") == [address]


async def test_a_clash_moves_nothing(lab: Lab, service: Service) -> None:
    old, first = await service.start("old", standby=False)
    new, _ = await service.start("new", standby=True)
    before = ruleset()
    more = (TCP, Publication(81, host_port=8081), Publication(82, host_port=8082))
    with closing(socket.create_server(("0.0.0.0", 8082))):
        with pytest.raises(Conflict) as failure:
            await service.promote(new, "new", old, more)
        text = str(failure.value)
        assert text.startswith("driver failed programming external connectivity on endpoint new (")
        assert "failed to bind host port for 0.0.0.0:8082:" in text
        assert text.endswith(":82/tcp: address already in use")
    assert ruleset() == before
    socket.create_server(("0.0.0.0", 8081)).close()
    assert (await lab.ask("127.0.0.1", 8080)).startswith("old")
    assert (await lab.ask("::1", 8080)).startswith("old")
    assert await service.names("web") == [first]
    await service.promote(new, "new", old, more)
    assert [port for _, port in service.published(new)] == [8080, 8081, 8082] * 2


async def test_what_the_new_one_does_not_want_stays(lab: Lab, service: Service) -> None:
    service.ports = (TCP, Publication(80, host_port=8081))
    old, _ = await service.start("old", standby=False)
    new, _ = await service.start("new", standby=True)
    await service.promote(new, "new", old, (TCP,))
    for address in ("127.0.0.1", "::1"):
        assert (await lab.ask(address, 8080)).startswith("new")
        assert (await lab.ask(address, 8081)).startswith("old")
    await service.promote(old, "old", new)
    for port in (8080, 8081):
        for address in ("127.0.0.1", "::1"):
            assert (await lab.ask(address, port)).startswith("old")
    assert [port for _, port in service.published(old)] == [8080, 8081] * 2


@pytest.mark.parametrize(
    "binding",
    [Publication(80), Publication(80, host_port=8080, host_port_end=8089)],
    ids=["ephemeral", "range"],
)
async def test_a_port_that_was_chosen_is_kept(
    lab: Lab, service: Service, binding: Publication
) -> None:
    with closing(socket.create_server(("0.0.0.0", 8080))):
        service.ports = (binding,)
        old, _ = await service.start("old", standby=False)
        new, _ = await service.start("new", standby=True)
        chosen = service.published(old)
        await service.promote(new, "new", old)
        assert service.published(new) == chosen
        assert (await lab.ask("127.0.0.1", chosen[0][1])).startswith("new")


async def test_another_port_of_the_container(lab: Lab, service: Service) -> None:
    old, _ = await service.start("old", standby=False)
    new, _ = await service.start("new", standby=True)
    lab.serve(new, 8000, "elsewhere")
    await service.promote(new, "new", old, (Publication(8000, host_port=8080),))
    for address in ("127.0.0.1", "::1"):
        assert (await lab.ask(address, 8080)).startswith("elsewhere")


# --- under load ------------------------------------------------------------------------------

_ASKER = """
import signal, socket, sys
target, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in target else socket.AF_INET
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
print("ready", flush=True)
while not stop:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(60)
            s.connect((target, port))
            name = s.recv(100).decode().partition(" ")[0]
    except OSError as error:
        name = repr(error)
    print(name, flush=True)
"""


@asynccontextmanager
async def asking(address: str, *, source: Process | None = None) -> AsyncIterator[Counter[str]]:
    """A client that opens a new connection for each request; who has answered how often."""
    inside = ["nsenter", "-n", "-t", str(source.pid)] if source else []
    client = await asyncio.create_subprocess_exec(
        *(*inside, "python3", "-S", "-c", _ASKER, address, "8080"),
        stdout=asyncio.subprocess.PIPE,
    )
    seen: Counter[str] = Counter()
    output = client.stdout
    assert output is not None

    async def count() -> None:
        async for line in output:
            seen[line.decode().strip()] += 1

    try:
        assert await output.readline() == b"ready\n"
        counting = asyncio.create_task(count())
        yield seen
        client.terminate()
        await counting
    finally:
        with suppress(ProcessLookupError):
            client.kill()
        await client.wait()


async def test_no_request_is_lost(lab: Lab, service: Service) -> None:
    lab.neighbour("10.9.0.2", "10.9.0.1")
    old, _ = await service.start("old", standby=False)
    new, _ = await service.start("new", standby=True)
    async with (
        asking("127.0.0.1") as local,
        asking("::1") as local6,
        asking("10.9.0.1") as host,
        asking("10.9.0.1", source=service.client) as hairpin,
    ):
        clients = (local, local6, host, hairpin)

        def is_enough() -> bool:
            each = all(min(seen["old"], seen["new"]) > 20 for seen in clients)
            return each and sum(seen.total() for seen in clients) >= 2000

        turn, deadline = 0, time.monotonic() + DEADLINE_S
        while turn < 30 or not is_enough():
            assert time.monotonic() < deadline, clients
            current, other = (new, old) if turn % 2 == 0 else (old, new)
            await service.promote(current, "new" if current is new else "old", other)
            await asyncio.sleep(0.1)
            turn += 1
    assert {name for seen in clients for name in seen} == {"old", "new"}, clients


_ECHO = """
import socket, sys, threading
s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
def serve(c):
    while data := c.recv(100):
        c.sendall(sys.argv[2].encode() + b" " + data)
    c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""


@pytest.fixture
async def echoes(lab: Lab, service: Service) -> tuple[Process, Process]:
    """Two containers whose port 7 echoes; the first has host port 7007."""
    service.ports = (Publication(7, host_port=7007),)
    processes = []
    for name, standby in (("old", False), ("new", True)):
        process, _ = await service.start(name, standby=standby)
        argv = ["nsenter", "-n", "-t", str(process.pid), "python3", "-S", "-c", _ECHO, "7", name]
        server = Process(subprocess.Popen(argv))
        lab._processes.append(server)
        table = Path(f"/proc/{process.pid}/net/tcp6")
        until(lambda table=table: ":0007 " in table.read_text(), "a listener")  # type: ignore[misc]
        processes.append(process)
    return processes[0], processes[1]


async def say(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: str) -> str:
    reader, writer = connection
    writer.write(f"{text}\n".encode())
    return (await asyncio.wait_for(reader.readline(), DEADLINE_S)).decode().strip()


async def test_open_connections_stay_and_are_counted(
    lab: Lab, service: Service, echoes: tuple[Process, Process]
) -> None:
    old, new = echoes
    networks = service.engine.networks
    before = [await asyncio.open_connection(a, 7007) for a in ("127.0.0.1", "127.0.0.1", "::1")]
    assert [await say(each, "1") for each in before] == ["old 1"] * 3
    assert await networks.connections(old.id) == Connections(tcp=2, relayed=1)
    await service.promote(new, "new", old)
    after = [await asyncio.open_connection(a, 7007) for a in ("127.0.0.1", "::1")]
    assert [await say(each, "2") for each in after] == ["new 2"] * 2
    assert [await say(each, "3") for each in before] == ["old 3"] * 3
    assert await networks.connections(old.id) == Connections(tcp=2, relayed=1)
    assert await networks.connections(new.id) == Connections(tcp=1, relayed=1)
    for _, writer in before[1:]:
        writer.close()
        await writer.wait_closed()

    async def is_left() -> bool:
        return await networks.connections(old.id) == Connections(tcp=1)

    await eventually(is_left, "the end of the closed connections")
    assert await say(before[0], "4") == "old 4"
    late = await asyncio.open_connection("::1", 7007)
    assert await say(late, "5") == "new 5"
    await service.promote(old, "old", new)
    assert await say(late, "5") == "new 5"
    await service.promote(new, "new", old)
    # The old one ends: who is still there is cut off, the others are not.
    old.kill()
    await networks.detach(old.id)
    assert await say(late, "6") == "new 6"
    with pytest.raises(Conflict, match="is not running"):
        await networks.connections(old.id)
    for _, writer in (*before, *after, late):
        writer.close()


async def test_connections_without_a_published_port_are_not_counted(
    lab: Lab, service: Service
) -> None:
    old, address = await service.start("old", standby=False)
    with closing(socket.create_connection((address, 80))):
        assert await service.engine.networks.connections(old.id) == Connections()


async def test_ipv6_flows_are_counted_as_well(lab: Lab, engine: Engine) -> None:
    """Nothing of ours translates IPv6; somebody's own rules may."""
    await engine.networks.create(NetworkSpec("six", enable_ipv6=True))
    web = lab.process()
    await engine.attach(web, "six")
    info = engine.networks.sandbox(web.id)
    assert info is not None
    address = info.endpoints["six"].ipv6_address
    argv = ["nsenter", "-n", "-t", str(web.pid), "python3", "-S", "-c", _ECHO, "7", "web"]
    lab._processes.append(Process(subprocess.Popen(argv)))
    table = Path(f"/proc/{web.pid}/net/tcp6")
    until(lambda: ":0007 " in table.read_text(), "a listener")
    rules = f"""
        table ip6 own {{
            chain output {{
                type nat hook output priority -100
                ip6 daddr fd99::1 tcp dport 7007 dnat to [{address}]:7
            }}
        }}
    """
    subprocess.run(["ip", "address", "add", "fd99::1/64", "dev", "lo"], check=True)
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    connection = await asyncio.open_connection("fd99::1", 7007)
    assert await say(connection, "1") == "web 1"
    assert await engine.networks.connections(web.id) == Connections(tcp=1)
    connection[1].close()
    subprocess.run(["nft", "delete", "table", "ip6", "own"], check=True)


async def test_a_udp_client_stays_until_the_old_one_ends(
    lab: Lab, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = lab.neighbour("10.9.0.2", "10.9.0.1")
    service.ports = (UDP,)
    old, _ = await service.start("old", standby=False)
    new, _ = await service.start("new", standby=True)
    networks = service.engine.networks
    client = await asyncio.create_subprocess_exec(
        *("nsenter", "-n", "-t", str(neighbour.pid), "python3", "-S", "-c", _FLOW),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdin is not None
    assert client.stdout is not None

    async def ask() -> str:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"\n")
        return (await client.stdout.readline()).decode().partition(" ")[0].strip()

    monkeypatch.setattr(conntrack, "RECENT_S", DEADLINE_S)
    assert await ask() == "old"
    await service.promote(new, "new", old)
    assert await ask() == "old"
    assert (await lab.ask("10.9.0.1", 5353, protocol="udp")).startswith("new")
    assert (await networks.connections(old.id)).udp == 1
    monkeypatch.setattr(conntrack, "RECENT_S", -1)
    assert (await networks.connections(old.id)).udp == 0
    old.kill()
    await networks.detach(old.id)
    assert await ask() == "new"
    client.stdin.close()
    await client.wait()


_FLOW = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
s.connect(("10.9.0.1", 5353))
for _ in sys.stdin:
    s.send(b"?")
    try:
        print(s.recv(100).decode(), flush=True)
    except OSError:
        print("silence", flush=True)
"""


# --- interrupted -----------------------------------------------------------------------------


class Killed(BaseException):
    """What no code of ours catches: the end of the process."""


async def restarted(service: Service, *processes: Process) -> None:
    await service.engine.restart()
    assert service.client is not None
    for process in (service.client, *processes):
        await service.engine.networks.adopt(process.id, process.pid)
    await service.engine.networks.settle()


async def whole(lab: Lab, service: Service, name: str, address: str) -> None:
    """One container has everything, wherever one asks."""
    for host in ("127.0.0.1", "::1"):
        assert (await lab.ask(host, 8080)).startswith(name)
    assert await service.names("web") == [address]


async def test_killed_before_it_is_recorded_it_is_undone(
    lab: Lab, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, first = await service.start("old", standby=False)
    new, second = await service.start("new", standby=True)

    def die() -> None:
        raise Killed

    async def stay(*_: object) -> None:
        """A dead process undoes nothing."""

    with monkeypatch.context() as patch:
        patch.setattr("stackr.runtime.engine.network.handover._undo", stay)
        with pytest.raises(Killed):
            await service.engine.networks.promote(service.settings(new, "new"), old.id, die)
    assert (await lab.ask("127.0.0.1", 8080)).startswith("new"), "the kernel has turned already"
    await restarted(service, old, new)
    await whole(lab, service, "old", first)
    assert service.published(new) == []
    await service.promote(new, "new", old)
    await whole(lab, service, "new", second)


async def test_killed_after_it_is_recorded_it_is_finished(
    lab: Lab, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = await service.start("old", standby=False)
    new, second = await service.start("new", standby=True)

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("stackr.runtime.engine.network.handover._take", die)
        with pytest.raises(Killed):
            await service.promote(new, "new", old)
    await restarted(service, old, new)
    await whole(lab, service, "new", second)
    assert service.published(old) == []
    await service.engine.networks.detach(old.id)
    await whole(lab, service, "new", second)


async def test_a_record_that_cannot_be_written_undoes_it(lab: Lab, service: Service) -> None:
    old, first = await service.start("old", standby=False)
    new, second = await service.start("new", standby=True)
    more = (TCP, Publication(81, host_port=8081))

    def fail() -> None:
        raise Internal("state: cannot be read or written: disk is full")

    before = ruleset()
    with pytest.raises(Internal, match="disk is full"):
        await service.engine.networks.promote(service.settings(new, "new", more), old.id, fail)
    assert ruleset() == before
    await whole(lab, service, "old", first)
    socket.create_server(("0.0.0.0", 8081)).close()
    await restarted(service, old, new)
    await whole(lab, service, "old", first)
    await service.promote(new, "new", old, more)
    await whole(lab, service, "new", second)


async def test_a_promotion_lasts(lab: Lab, service: Service) -> None:
    old, _ = await service.start("old", standby=False)
    new, second = await service.start("new", standby=True)
    await service.promote(new, "new", old)
    await restarted(service, old, new)
    await whole(lab, service, "new", second)
    connection = await asyncio.open_connection("127.0.0.1", 8080)
    connection[1].close()
    old.kill()
    await restarted(service, new)
    await whole(lab, service, "new", second)
    assert service.engine.networks.sandbox(old.id) is None
