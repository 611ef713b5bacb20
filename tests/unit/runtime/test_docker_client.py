"""The Engine API client against servers that behave, and servers that do not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from open_files import room_for

from stackr.errors import (
    Conflict,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    NotSupported,
    PermissionDenied,
    Unavailable,
)
from stackr.runtime.connect import connect
from stackr.runtime.docker import address, network_removal
from stackr.runtime.docker.address import EngineAddress
from stackr.runtime.docker.client import Client
from stackr.runtime.docker.runtime import DockerRuntime
from stackr.runtime.snapshot import SnapshotQuery
from stackr.runtime.types import NetworkFault

Answer = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nContent-Length: 2\r\n\r\nOK"


def reply(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@asynccontextmanager
async def served(folder: Path, answer: Answer) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client of a server whose `answer` gets each request line but the ping's.

    The list has "connect" for each connection, and every request line.
    """
    seen: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append("connect")
        writers.append(writer)
        go_on = True
        while go_on:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            line = head.partition(" HTTP/1.1")[0]
            seen.append(line)
            if line.endswith("/_ping"):
                writer.write(PING)
            else:
                go_on = await answer(line, reader, writer)
        writer.close()

    path = folder / "engine.sock"
    server = await asyncio.start_unix_server(converse, path)
    client = Client(EngineAddress.parse(f"unix://{path}", {}))
    try:
        yield client, seen
    finally:
        await client.close()
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


def always(data: bytes, *, go_on: bool = True) -> Answer:
    async def answer(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return go_on

    return answer


async def test_negotiates_once_and_keeps_the_connection(tmp_path: Path) -> None:
    async with served(tmp_path, always(reply(b'{"A": 1}'))) as (client, seen):
        assert await client.call("GET", "/info") == {"A": 1}
        query = {"all": True, "n": 3, "x": None}
        assert await client.call("GET", "/info", query=query) == {"A": 1}
    assert seen == ["connect", "GET /_ping", "GET /v1.50/info", "GET /v1.50/info?all=1&n=3"]


async def test_an_error_has_the_class_of_its_status_and_the_engines_words(tmp_path: Path) -> None:
    body = json.dumps({"message": "No such container: web"}).encode()
    async with served(tmp_path, always(reply(body, "404 Not Found"))) as (client, _seen):
        with pytest.raises(NotFound, match=r"^No such container: web$"):
            await client.call("GET", "/containers/web/json")
    async with served(tmp_path, always(reply(b"taken", "409 Conflict"))) as (client, _seen):
        with pytest.raises(Conflict, match=r"^taken$"):
            await client.call("POST", "/containers/create", body={})


async def test_an_answer_that_leads_elsewhere_is_an_error(tmp_path: Path) -> None:
    answer = always(reply(b"", "301 Moved Permanently"))
    async with served(tmp_path, answer) as (client, _seen):
        with pytest.raises(NotFound, match="page not found"):
            await client.call("DELETE", "/containers/..")


async def test_a_kept_connection_that_was_closed_is_replaced(tmp_path: Path) -> None:
    answer = always(reply(b"1"), go_on=False)  # closes behind each answer, without a word
    async with served(tmp_path, answer) as (client, seen):
        assert await client.call("GET", "/a") == 1
        assert await client.call("GET", "/b") == 1
    assert [line for line in seen if line != "connect"] == [
        "GET /_ping",
        "GET /v1.50/a",
        "GET /v1.50/b",
    ]


async def test_a_body_that_breaks_off_is_no_answer(tmp_path: Path) -> None:
    cut = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"A":'
    async with served(tmp_path, always(cut, go_on=False)) as (client, _seen):
        with pytest.raises(Unavailable, match="in the middle of a call"):
            await client.call("GET", "/info")


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>"])
async def test_an_answer_that_is_not_the_apis_is_unavailable(tmp_path: Path, data: bytes) -> None:
    async with served(tmp_path, always(data, go_on=False)) as (client, _seen):
        with pytest.raises(Unavailable, match="not an answer in"):
            await client.call("GET", "/info")


async def test_a_call_ends_at_its_limit(tmp_path: Path) -> None:
    async with served(tmp_path, always(b"")) as (client, _seen):
        with pytest.raises(DeadlineExceeded, match="GET /info: no answer within"):
            await client.call("GET", "/info", timeout_s=0.05)


async def test_lines_of_json_come_one_by_one_over_any_chunks(tmp_path: Path) -> None:
    async def answer(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b'{"a"', b':1}\n{"a":2}\n\n{"', b'a":3}'):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True

    async with (
        served(tmp_path, answer) as (client, _seen),
        client.stream("GET", "/events") as chunks,
    ):
        found = [value async for value in client.lines(chunks, "/events")]
    assert found == [{"a": 1}, {"a": 2}, {"a": 3}]


async def test_a_hijacked_stream_is_raw_in_both_directions(tmp_path: Path) -> None:
    async def answer(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly"
        )
        await reader.readexactly(2)  # the request's body, {}
        writer.write(await reader.read())
        return False

    async with served(tmp_path, answer) as (client, _seen):
        stream = await client.hijack("/exec/1/start", body={})
        assert stream.is_raw
        assert await stream.read() == b"early"
        await stream.write(b"ping")
        await stream.close_write()
        assert await stream.read() == b"ping"
        assert await stream.read() == b""
        await stream.close()


async def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    client = Client(EngineAddress.parse(f"unix://{tmp_path}/none.sock", {}))
    with pytest.raises(Unavailable, match=r"none\.sock.*cannot connect: No such file"):
        await client.call("GET", "/info")


async def test_an_engine_that_is_too_old_is_refused(tmp_path: Path) -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PING.replace(b"1.50", b"1.24"))
        writer.close()

    server = await asyncio.start_unix_server(old, tmp_path / "old.sock")
    async with server:
        client = Client(EngineAddress.parse(f"unix://{tmp_path}/old.sock", {}))
        with pytest.raises(Unavailable, match=r"API 1\.24 is too old"):
            await client.version()
        await client.close()


@pytest.mark.parametrize(
    "url", ["unix://", "tcp://host", "tcp://host:x", "http://host:1", "ssh://-oProxyCommand=x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="engine "):
        EngineAddress.parse(url, {})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_read_only_client_sends_nothing_that_changes_anything(
    tmp_path: Path, method: str
) -> None:
    async def answer(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(reply(b"{}"))
        return True

    async with served(tmp_path, answer) as (client, seen):
        careful = Client(client.address, read_only=True)
        assert await careful.call("GET", "/info") == {}
        with pytest.raises(PermissionDenied, match="this command changes nothing"):
            await careful.call(method, "/containers/x", body={})
        with pytest.raises(PermissionDenied):
            await careful.hijack("/containers/x/attach")
        await careful.close()
    assert not any(line.startswith(method) for line in seen)


async def test_what_an_engine_has_beyond_dockers_api_is_in_its_ping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        return True

    async with served(tmp_path, answer) as (client, _):
        await client.version()
        assert client.capabilities == frozenset()
    ping = PING.replace(
        b"Api-Version", b"Stackr-Capabilities: probes, update_labels\r\nApi-Version"
    )
    monkeypatch.setitem(globals(), "PING", ping)
    async with served(tmp_path, answer) as (client, _):
        runtime = await DockerRuntime.open(client, {})
        assert client.capabilities == {"probes", "update_labels"}
        capabilities = runtime.capabilities
        assert (capabilities.probes, capabilities.update_labels) == (True, True)
        assert not capabilities.listed_limits


async def test_an_engine_that_runs_is_reached_by_one_connection(tmp_path: Path) -> None:
    async with served(tmp_path, always(reply(b"[]"))) as (_, seen):
        (tmp_path / "stackr.sock").symlink_to("engine.sock")
        roots = {"STACKR_DATA_ROOT": str(tmp_path), "STACKR_EXEC_ROOT": str(tmp_path)}
        async with await connect("embedded", roots) as runtime:
            await runtime.list_containers()
    assert seen[:2] == ["connect", "GET /_ping"]
    assert seen.count("connect") == 1


async def test_a_framed_log_says_so_itself(tmp_path: Path) -> None:
    """One call; where the answer does not tell, the container is asked for."""
    framed = b"\1\0\0\0\0\0\0\3hi\n"
    kind = b"\r\nContent-Type: application/vnd.docker.%s\r\nContent-Length"

    def log(body: bytes, stream: bytes) -> bytes:
        return reply(body).replace(b"\r\nContent-Length", kind % stream)

    for answer, calls in (
        (log(framed, b"multiplexed-stream"), 1),
        (log(b"hi\n", b"raw-stream"), 2),
    ):

        async def converse(
            line: str,
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            answer: bytes = answer,
        ) -> bool:
            is_log = line.partition("?")[0].endswith("/logs")
            writer.write(answer if is_log else reply(b'{"Id": "1", "Config": {"Tty": true}}'))
            return True

        async with served(tmp_path, converse) as (client, seen):
            runtime = await DockerRuntime.open(client)
            assert [entry.line async for entry in runtime.logs("web")] == [b"hi"]
            assert len([line for line in seen if "/containers/" in line]) == calls


async def test_a_snapshot_of_very_many_names_is_asked_for_in_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ping = PING.replace(b"Api-Version", b"Stackr-Capabilities: snapshot\r\nApi-Version")
    monkeypatch.setitem(globals(), "PING", ping)
    empty = b'{"Containers":[],"Networks":[],"Volumes":[],"Images":{},"Referenced":{},"Faults":{}}'

    async def answer(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        body = b"[]" if "/containers/" in line or "/networks" in line else b"{}"
        writer.write(reply(empty if "/snapshot" in line else body))
        return True

    async with served(tmp_path, answer) as (client, seen):
        runtime = await DockerRuntime.open(client)
        await runtime.snapshot(SnapshotQuery("app", networks={"app"}))
        assert "snapshot?label=" in seen[-1]
        names = {f"{number:0>60}" for number in range(300)}
        found = await runtime.snapshot(SnapshotQuery("app", volumes=names))
        assert (found.containers, "snapshot" in seen[-1]) == ([], False)


async def test_what_an_engine_can_beyond_dockers_api_comes_with_the_ping(tmp_path: Path) -> None:
    async with served(tmp_path, always(reply(b'{"Total": 3}'))) as (client, seen):
        runtime = await DockerRuntime.open(client)
        assert not runtime.capabilities.handover
        for refused in (runtime.promote_container("web"), runtime.count_connections("web")):
            with pytest.raises(NotSupported, match="cannot hand a container's ports"):
                await refused
        assert seen == ["connect", "GET /_ping"]


@pytest.mark.parametrize(
    ("header", "asked", "identity"),
    [
        (b"Stackr-Engine-Id: e-1", [], "e-1"),
        (b"Swarm: inactive", ["GET /v1.50/info"], "from-info"),
        (b"Libpod-Api-Version: 4.9.3", [], "unix://{path}"),
    ],
)
async def test_an_engine_says_who_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    header: bytes,
    asked: list[str],
    identity: str,
) -> None:
    """At no further call where the ping tells; Podman's ID is another at each call."""
    monkeypatch.setitem(globals(), "PING", PING.replace(b"Content", header + b"\r\nContent"))
    async with served(tmp_path, always(reply(b'{"ID": "from-info"}'))) as (client, seen):
        runtime = await DockerRuntime.open(client)
        assert await runtime.identity() == identity.format(path=tmp_path / "engine.sock")
        assert seen == ["connect", "GET /_ping", *asked]


async def test_a_handover_is_asked_for_by_stackrs_own_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ping = PING.replace(b"Content", b"Stackr-Capabilities: snapshots, handover\r\nContent")
    monkeypatch.setitem(globals(), "PING", ping)
    async with served(tmp_path, always(reply(b'{"Total": 3}'))) as (client, seen):
        runtime = await DockerRuntime.open(client)
        assert runtime.capabilities.handover
        await runtime.promote_container("web-new", replaces="web/1")
        await runtime.promote_container("web-new")
        assert await runtime.count_connections("web") == 3
    assert seen[2:] == [
        "POST /v1.50/stackr/v1/containers/web-new/promote?replaces=web%2F1",
        "POST /v1.50/stackr/v1/containers/web-new/promote",
        "GET /v1.50/stackr/v1/containers/web/connections",
    ]


async def test_faults_of_networks_are_asked_for_where_the_engine_tells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'[{"What": "bridge", "Found": "missing", "Wanted": "sk-1"}]'
    async with served(tmp_path, always(reply(body))) as (client, _):
        runtime = await DockerRuntime.open(client)
        for refused in (runtime.network_faults("app"), runtime.repair_network("app")):
            with pytest.raises(NotSupported, match="does not tell what is missing"):
                await refused
    ping = PING.replace(b"Content", b"Stackr-Capabilities: network_repair\r\nContent")
    monkeypatch.setitem(globals(), "PING", ping)
    async with served(tmp_path, always(reply(body))) as (client, seen):
        runtime = await DockerRuntime.open(client)
        assert await runtime.network_faults("app") == [NetworkFault("bridge", "missing", "sk-1")]
        await runtime.repair_network("app")
    assert seen[2:] == [
        "GET /v1.50/stackr/v1/networks/app/faults",
        "POST /v1.50/stackr/v1/networks/app/repair",
    ]


async def test_a_client_opens_as_many_files_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        dial = EngineAddress.parse(f"unix://{path}", {}).connect
        with room_for(0):
            await (await dial()).close()
        with room_for(0), monkeypatch.context() as patch:
            patch.setattr(address, "_raise_soft_limit", lambda: None)  # the hard limit is as low
            with pytest.raises(Unavailable, match="too many open files: the limit of this command"):
                await dial()


def _dockerd(containers: str, *, let_go_after: str) -> Answer:
    """One whose network `n` is in use until it was asked something. containers: that run."""
    asked: list[str] = []

    async def answer(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked.append(line)
        call = line.replace("/v1.50", "")
        held = b'{"message": "error while removing network: network n has active endpoints"}'
        answers = {
            "GET /containers/json": reply(containers.encode()),
            "GET /networks/n": reply(b'{"Containers": {"ep-1": {"Name": "gone-1"}}}'),
            "GET /containers/gone-1/json": reply(b'{"message": "no"}', "404 Not Found"),
            "POST /networks/n/disconnect": reply(b""),
        }
        if call.startswith("POST"):
            await reader.readuntil(b"}")
        if call == "DELETE /networks/n":
            has_let_go = any(each.endswith(let_go_after) for each in asked)
            writer.write(reply(b"") if has_let_go else reply(held, "403 Forbidden"))
        else:
            writer.write(answers[call])
        return True

    return answer


async def test_a_network_is_removed_once_the_engine_lets_go_of_it(tmp_path: Path) -> None:
    """dockerd does so a moment after it has told that the containers are gone."""
    dockerd = _dockerd("[]", let_go_after="GET /v1.50/containers/json")
    async with served(tmp_path, dockerd) as (client, seen):
        await network_removal.remove_network(client, "n")
    assert seen.count("DELETE /v1.50/networks/n") == 2


async def test_what_dockerd_holds_of_containers_that_are_gone_is_taken_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_removal, "_FORGOTTEN_S", 0.0)
    dockerd = _dockerd("[]", let_go_after="/networks/n/disconnect")
    async with served(tmp_path, dockerd) as (client, seen):
        await network_removal.remove_network(client, "n")
    assert seen[-2:] == ["POST /v1.50/networks/n/disconnect", "DELETE /v1.50/networks/n"]


async def test_a_network_that_a_running_container_uses_stays(tmp_path: Path) -> None:
    running = '[{"NetworkSettings": {"Networks": {"n": {"NetworkID": "1"}}}}]'
    dockerd = _dockerd(running, let_go_after="never")
    async with served(tmp_path, dockerd) as (client, seen):
        with pytest.raises(PermissionDenied, match="has active endpoints"):
            await network_removal.remove_network(client, "n")
    assert seen.count("DELETE /v1.50/networks/n") == 1
