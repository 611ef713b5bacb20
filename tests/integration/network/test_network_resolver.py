"""Names in containers: what the resolver at 127.0.0.11 answers, forwards and refuses."""

from __future__ import annotations

import asyncio

import pytest
from network_lab import Engine, Lab, upstream

from stackr.runtime.engine.network.types import ContainerNet, EndpointSpec, NetworkSpec

pytestmark = pytest.mark.root


def status(answer: list[str]) -> str:
    header = next(line for line in answer if "status:" in line)
    return header.partition("status: ")[2].partition(",")[0]


async def test_names_aliases_and_ids(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    one, two = lab.process(), lab.process()
    first = await engine.attach(one, EndpointSpec("app", aliases=("web",)), name="Web-1")
    second = await engine.attach(two, EndpointSpec("app", aliases=("web",)), name="web-2")
    assert await lab.dig(one, "+short", "web-1") == [first]
    assert await lab.dig(one, "+short", "WEB-2.") == [second]
    assert await lab.dig(one, "+short", "web-2.app") == [second]
    assert await lab.dig(one, "+short", two.id[:12]) == [second]
    assert sorted(await lab.dig(one, "+short", "web")) == sorted([first, second])
    assert sorted(await lab.dig(one, "+short", "+tcp", "web")) == sorted([first, second])
    assert await lab.dig(one, "+short", "-x", second) == ["web-2.app."]
    await engine.networks.detach(two.id)
    assert await lab.dig(one, "+short", "web") == [first]


async def test_an_ipv4_name_has_no_ipv6_address_and_is_not_forwarded(
    lab: Lab, engine: Engine
) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    await engine.attach(web, "app")
    with upstream() as asked:
        engine.resolv_conf.write_text("nameserver 127.0.0.53\n")
        for kind in ("AAAA", "MX"):
            answer = await lab.dig(web, "web", kind)
            assert status(answer) == "NOERROR"
            assert any("ANSWER: 0" in line for line in answer)
    assert asked == []


async def test_names_of_other_networks_are_not_told(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("one"))
    await engine.networks.create(NetworkSpec("two"))
    a, b = lab.process(), lab.process()
    await engine.attach(a, "one", name="a")
    await engine.attach(b, "two", name="b")
    assert status(await lab.dig(a, "b")) == "SERVFAIL"  # forwarded, and there is no upstream


async def test_the_rest_goes_to_the_hosts_resolver(lab: Lab, engine: Engine) -> None:
    web = lab.process()
    await engine.attach(web, "bridge")
    with upstream() as asked:
        engine.resolv_conf.write_text("nameserver 127.0.0.53\n")
        await lab.answered(web, "example.org", "192.0.2.7")
        assert set(asked) == {"example.org."}
    answers = await asyncio.gather(*(lab.dig(web, "example.org") for _ in range(5)))
    assert {status(answer) for answer in answers} == {"SERVFAIL"}, "nothing listens upstream"


async def test_a_container_may_have_resolvers_of_its_own(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    with upstream("127.0.0.54") as asked:
        container = ContainerNet(web.id, "web", (EndpointSpec("app"),), dns=("127.0.0.54",))
        await engine.networks.attach(container, web.pid)
        await lab.answered(web, "example.org", "192.0.2.7")
    assert set(asked) == {"example.org."}


async def test_nothing_leaves_an_internal_network(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("inside", internal=True))
    web = lab.process()
    address = await engine.attach(web, "inside")
    with upstream() as asked:
        engine.resolv_conf.write_text("nameserver 127.0.0.53\n")
        assert await lab.dig(web, "+short", "web") == [address]
        assert status(await lab.dig(web, "example.org")) == "SERVFAIL"
    assert asked == []


async def test_the_default_network_has_no_names(lab: Lab, engine: Engine) -> None:
    one, two = lab.process(), lab.process()
    await engine.attach(one, "bridge", name="one")
    await engine.attach(two, "bridge", name="two")
    assert status(await lab.dig(one, "two")) == "SERVFAIL"


async def test_links_are_names_of_one_container(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    db, web = lab.process(), lab.process()
    address = await engine.attach(db, "app", name="app-db-1")
    await engine.attach(web, EndpointSpec("app", links=("app-db-1:database",)), name="web")
    assert await lab.dig(web, "+short", "database") == [address]
    assert status(await lab.dig(db, "database")) == "SERVFAIL"


async def test_a_renamed_container_is_found_by_its_new_name(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    address = await engine.attach(web, "app", name="old")
    engine.networks.rename(web.id, "new")
    assert await lab.dig(web, "+short", "new") == [address]
    assert status(await lab.dig(web, "old")) == "SERVFAIL"


async def test_hostile_packets_do_no_harm(
    lab: Lab, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    address = await engine.attach(web, "app")
    script = """
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
header = b"\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
packets = [b"", b"x", header, header + b"\\xc0\\x0c\\x00\\x01\\x00\\x01", header + b"\\x3f" * 40]
packets += [header + b"\\x03\\xff\\xfe\\xfd\\x00\\x00\\x01\\x00\\x01", b"\\xff" * 12]
packets += [os.urandom(60) for _ in range(200)]
for packet in packets:
    s.sendto(packet, ("127.0.0.11", 53))
t = socket.create_connection(("127.0.0.11", 53))
t.sendall(b"\\xff\\xff" + b"short")
t.close()
"""
    inside = ["nsenter", "-n", "-t", str(web.pid), "python3", "-S", "-c", script]
    process = await asyncio.create_subprocess_exec(*inside)
    assert await process.wait() == 0
    assert await lab.dig(web, "+short", "web") == [address]
    assert not caplog.records, "no exception reached the event loop"


async def test_a_container_may_serve_port_53_itself(lab: Lab, engine: Engine) -> None:
    web = lab.process()
    address = await engine.attach(web, "bridge")
    lab.serve(web, 53, "own", protocol="udp")
    lab.serve(web, 53, "own")
    assert (await lab.ask(address, 53, protocol="udp")).startswith("own")
    assert (await lab.ask(address, 53)).startswith("own")


async def test_many_addresses_of_a_name_come_by_tcp(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    processes = [lab.process() for _ in range(35)]
    addresses = await asyncio.gather(
        *(
            engine.attach(p, EndpointSpec("app", aliases=("all",)), name=f"c{i}")
            for i, p in enumerate(processes)
        )
    )
    truncated = await lab.dig(processes[0], "+noedns", "+ignore", "all")
    assert any(" tc" in line for line in truncated if "flags:" in line)
    some = [line.split()[-1] for line in truncated if line.startswith("all.")]
    assert len(some) > 20
    assert set(some) < set(addresses)
    whole = await lab.dig(processes[0], "+bufsize=4096", "+short", "+ignore", "all")
    assert sorted(whole) == sorted(addresses)
    answer = await lab.dig(processes[0], "+noedns", "+short", "all")
    assert sorted(line for line in answer if not line.startswith(";")) == sorted(addresses)
