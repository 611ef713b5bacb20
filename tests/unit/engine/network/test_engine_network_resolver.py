"""The resolver's pure parts, with dnslib as the judge of its messages; its loop; its imports."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stackr
from stackr.runtime.engine.linux.loop import Deadline, Loop, Task, readable
from stackr.runtime.engine.network.nameserver import described
from stackr.runtime.engine.network.resolver import message
from stackr.runtime.engine.network.resolver.answer import answer_locally
from stackr.runtime.engine.network.resolver.table import Container, NamedEndpoint, Names
from stackr.runtime.engine.network.sandbox import SandboxRecord
from stackr.runtime.engine.network.types import Endpoint as EndpointRecord
from stackr.runtime.engine.network.types import EndpointSpec


def endpoint(
    name: str, network: str = "app", ipv4: str = "10.0.0.2", ipv6: str = "", **links: str
) -> NamedEndpoint:
    return NamedEndpoint(
        container=name,
        network=f"id-{network}",
        network_name=network,
        names=(name, "Shared"),
        ipv4=ipv4,
        ipv6=ipv6,
        links=links,
    )


def found(names: Names, asker: Container, name: str) -> list[str]:
    return [found.full_name for found in names.lookup(asker.endpoints, name)]


def test_names_belong_to_networks() -> None:
    names = Names()
    one = Container("1", [endpoint("one")])
    two = Container("2", [endpoint("two", ipv4="10.0.0.3")])
    elsewhere = Container("3", [endpoint("one", "other", "10.1.0.2")])
    for each in (one, two, elsewhere):
        names.put(each)
    assert found(names, one, "TWO") == ["two.app"]
    assert found(names, one, "two.App") == ["two.app"]
    assert found(names, one, "shared") == ["one.app", "two.app"]
    both = Container("4", [*one.endpoints, *elsewhere.endpoints])
    assert found(names, both, "one") == ["one.app", "one.other"]
    assert found(names, elsewhere, "two") == []
    assert names.reverse(one.endpoints, "10.0.0.3") is two.endpoints[0]
    assert names.reverse(elsewhere.endpoints, "10.0.0.3") is None
    names.remove("2")
    names.remove("2")
    assert found(names, one, "two") == []
    assert found(names, one, "shared") == ["one.app"]
    assert names.reverse(one.endpoints, "10.0.0.3") is None


def test_a_container_takes_the_place_of_what_was_known_of_it() -> None:
    names = Names()
    names.put(Container("1", [endpoint("old")]))
    names.put(Container("1", [endpoint("new", ipv4="10.0.0.9")]))
    asker = Container("1", [endpoint("x")])
    assert (found(names, asker, "old"), found(names, asker, "new")) == ([], ["new.app"])
    assert names.reverse(asker.endpoints, "10.0.0.2") is None


def test_links_are_names_for_one_asker() -> None:
    names = Names()
    names.put(Container("1", [endpoint("db")]))
    asker = Container("2", [endpoint("web", Database="DB")])
    assert found(names, asker, "database") == ["db.app"]
    assert found(names, Container("3", [endpoint("x")]), "database") == []


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("web", "A", ["10.0.0.2"]),
        ("WeB", "A", ["10.0.0.2"]),
        ("web", "AAAA", ["fd00::2"]),
        ("web", "TXT", []),
        ("2.0.0.10.in-addr.arpa", "PTR", ["web.app."]),
        (f"2.{'0.' * 29}d.f.ip6.arpa", "PTR", ["web.app."]),
        ("3.0.0.10.in-addr.arpa", "PTR", None),
        ("nonsense.in-addr.arpa", "PTR", None),
        ("z.ip6.arpa", "PTR", None),
        ("other", "A", None),
        ("", "NS", None),
    ],
)
def test_what_is_answered_here(name: str, kind: str, wanted: list[str] | None) -> None:
    names = Names()
    asker = Container("1", [endpoint("web", ipv6="fd00::2")])
    names.put(asker)
    asked = dnslib.DNSRecord.question(name, kind)
    query = message.parse_query(asked.pack())
    assert query is not None
    packet = answer_locally(query, names, asker)
    if wanted is None:
        assert packet is None
        return
    assert packet is not None
    reply = dnslib.DNSRecord.parse(packet)
    assert [str(record.rdata) for record in reply.rr] == wanted
    assert all(record.rname == asked.q.qname for record in reply.rr)
    assert all(record.ttl == 1 for record in reply.rr), "who keeps it longer asks the wrong one"
    header = reply.header
    assert (header.id, header.qr, header.rd, header.ra) == (asked.header.id, 1, 1, 1)
    assert (header.aa, header.tc, header.rcode) == (0, 0, 0)


def test_another_class_than_the_internets_is_not_answered_here() -> None:
    names = Names()
    asker = Container("1", [endpoint("web")])
    names.put(asker)
    query = message.parse_query(dnslib.DNSRecord.question("web", "TXT", "CH").pack())
    assert query is not None
    assert answer_locally(query, names, asker) is None


def test_a_name_that_dns_cannot_carry_is_no_reverse_name() -> None:
    names = Names()
    asker = Container("1", [endpoint("x" * 70)])
    names.put(asker)
    query = message.parse_query(dnslib.DNSRecord.question("2.0.0.10.in-addr.arpa", "PTR").pack())
    assert query is not None
    reply = dnslib.DNSRecord.parse(answer_locally(query, names, asker))
    assert (reply.rr, reply.header.rcode) == ([], 0)
    for wrong in ("", "a..b", ".".join(["abcdefgh"] * 32)):
        with pytest.raises(ValueError, match=r"label|too long"):
            message.encoded_name(wrong)


_RECORD_BYTES = 16


@pytest.mark.parametrize(
    ("edns_bytes", "limit"), [(None, 512), (100, 512), (1232, 1232), (9999, 4096)]
)
def test_what_does_not_fit_a_datagram_is_marked(edns_bytes: int | None, limit: int) -> None:
    asked = dnslib.DNSRecord.question("web")
    if edns_bytes is not None:
        asked.add_ar(dnslib.EDNS0(udp_len=edns_bytes))
    query = message.parse_query(asked.pack())
    assert query is not None
    for count in (*range(200), 300):
        records = [(message.A, (0x0A000000 + number).to_bytes(4)) for number in range(count)]
        whole = message.reply(query, records)
        cut = message.fitted(query, whole, query.udp_bytes)
        reply = dnslib.DNSRecord.parse(cut)
        assert len(cut) <= limit
        assert (cut == whole) == (len(whole) <= limit)
        assert reply.header.tc == (cut != whole)
        assert reply.rr == dnslib.DNSRecord.parse(whole).rr[: len(reply.rr)]
        assert cut == whole or len(cut) > limit - _RECORD_BYTES, "as many as there is room for"
        assert len(reply.ar) == (edns_bytes is not None)


@given(st.binary(max_size=100))
def test_no_packet_breaks_the_parser(data: bytes) -> None:
    message.parse_query(data)
    message.parse_query(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" + data)


_LABEL = st.text(st.sampled_from("abcXYZ019-_"), min_size=1, max_size=63)


@given(st.lists(_LABEL, min_size=1, max_size=3), st.sampled_from(["A", "AAAA", "PTR", "SRV"]))
def test_every_question_is_read(labels: list[str], kind: str) -> None:
    asked = dnslib.DNSRecord.question(".".join(labels), kind)
    query = message.parse_query(asked.pack())
    assert query is not None
    assert (query.name, query.kind) == (".".join(labels), getattr(dnslib.QTYPE, kind))
    for cut in range(len(asked.pack())):
        assert message.parse_query(asked.pack()[:cut]) is None


def test_a_dot_within_a_label_is_no_separator() -> None:
    packet = dnslib.DNSRecord.question("web").pack().replace(b"\3web", b"\3w.b")
    query = message.parse_query(packet)
    assert query is not None
    assert query.name == "w\\.b"


def test_answers_and_other_operations_are_no_queries() -> None:
    asked = dnslib.DNSRecord.question("web")
    assert message.parse_query(asked.reply().pack()) is None
    asked.header.opcode = 5
    assert message.parse_query(asked.pack()) is None
    assert message.parse_query(dnslib.DNSRecord().pack()) is None


# --- the loop --------------------------------------------------------------------------------


def test_a_task_waits_until_it_can_read_or_its_time_is_up() -> None:
    ours, theirs = socket.socketpair()
    loop = Loop()
    heard: list[object] = []
    tasks: set[Task] = set()

    async def listen() -> None:
        await readable(ours.fileno(), time.monotonic() + 60)
        heard.append(ours.recv(10))
        try:
            await readable(ours.fileno(), time.monotonic() + 0.01)
        except Deadline:
            heard.append("late")

    with ours, theirs:
        loop.spawn(listen(), tasks)
        theirs.send(b"hello")
        while tasks:
            loop.run_once()
    assert heard == [b"hello", "late"]


def test_a_task_is_cancelled_where_it_waits_and_where_it_runs() -> None:
    ended: list[str] = []
    tasks: set[Task] = set()
    loop = Loop()
    never, other = socket.socketpair()
    with never, other:

        async def wait(name: str, *, cancel: bool) -> None:
            try:
                if cancel:
                    for task in list(tasks):
                        task.cancel()
                await readable(never.fileno(), time.monotonic() + 60)
            finally:
                ended.append(name)

        loop.spawn(wait("waiting", cancel=False), tasks)
        loop.spawn(wait("running", cancel=True), tasks)
    assert (ended, tasks) == (["waiting", "running"], set())


def test_one_tasks_failure_is_not_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    tasks: set[Task] = set()

    async def fail() -> None:
        raise RuntimeError("a defect")

    Loop().spawn(fail(), tasks)
    assert tasks == set()
    assert "RuntimeError: a defect" in capsys.readouterr().err


# --- its border ------------------------------------------------------------------------------


def test_what_the_daemon_says_of_a_container() -> None:
    spec = EndpointSpec("app", links=("app-db-1:database", "cache"))
    known = EndpointRecord(
        network_id="n1",
        network_name="app",
        container_id="c1",
        container_name="web",
        endpoint_id="e1",
        spec=spec,
        ipv4_address="10.0.0.2",
        dns_names=("web", "www"),
    )
    record = SandboxRecord("c1", "web", endpoints=(known,))
    document = described(record)
    assert document == {
        "id": "c1",
        "endpoints": [
            {
                "container": "web",
                "network": "n1",
                "network_name": "app",
                "names": ("web", "www"),
                "ipv4": "10.0.0.2",
                "ipv6": "",
                "links": {"database": "app-db-1", "cache": "cache"},
            }
        ],
        "upstreams": None,
    }
    own = SandboxRecord("c1", "web", endpoints=(known,), dns=("10.0.0.1",))
    assert described(own)["upstreams"] == ("10.0.0.1",)
    shut_in = SandboxRecord("c1", "web", endpoints=(known,), internal=("n1",), dns=("10.0.0.1",))
    assert described(shut_in)["upstreams"] == ()


def test_the_process_imports_little() -> None:
    """Its memory stays resident for as long as any container runs."""
    module = "stackr.runtime.engine.network.resolver.program"
    script = f"import sys; sys.path.insert(0, sys.argv[1]); import {module}; print(*sys.modules)"
    root = str(Path(stackr.__file__).parents[1])
    argv = [sys.executable, "-I", "-S", "-c", script, root]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    imported = set(done.stdout.split())
    assert imported.isdisjoint({"asyncio", "dataclasses", "typing", "inspect", "dnslib", "pathlib"})
