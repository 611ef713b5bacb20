"""The HTTP side of the API: framing, versions, errors, hijacked streams, hanging up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from stackr.errors import Conflict, NotModified, Unavailable
from stackr.runtime.engine.api import server as server_module
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.server import Server

Reply = tuple[int, dict[str, str], bytes]
_ENGINE = cast(Engine, None)


class Client:
    """Speaks raw HTTP to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: str, body: bytes = b"") -> Reply:
        self.send(request, body)
        return await self.reply()

    def send(self, request: str, body: bytes = b"") -> None:
        head, *headers = request.split("\n")
        lines = [f"{head} HTTP/1.1", "Host: docker", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def reply(self) -> Reply:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        status = int(head[0].split()[1])
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunks()
        length = int(headers.get("content-length", 0))
        return status, headers, await self.reader.readexactly(length)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body


Serve = Callable[..., "Any"]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    @asynccontextmanager
    async def serving(*routes: Route) -> AsyncIterator[Client]:
        monkeypatch.setattr(server_module, "ROUTES", routes)
        path = Path(f"{tmp_path}/s")
        server = Server(_ENGINE, path)
        await server.open()
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            await server.close()
            assert not path.exists()

    return serving


def _answers(value: object) -> Callable[[Engine, Request], Awaitable[Response]]:
    async def handler(engine: Engine, request: Request) -> Response:
        return json_response(value)

    return handler


def _raises(error: Exception) -> Callable[[Engine, Request], Awaitable[Response]]:
    async def handler(engine: Engine, request: Request) -> Response:
        raise error

    return handler


async def _echo(engine: Engine, request: Request) -> Response:
    return json_response({"body": await request.json(), "query": dict(request.query)})


async def test_headers_and_keep_alive(serve: Serve) -> None:
    async with serve(Route("GET", "/x/{name}", _answers({"a": 1}))) as client:
        for path in ("/x/web", "/v1.24/x/web", "/v1.56/x/web"):
            status, headers, body = await client.ask(f"GET {path}")
            assert (status, json.loads(body)) == (200, {"a": 1})
            assert headers["api-version"] == "1.56"
            assert headers["ostype"] == "linux"
            assert headers["docker-experimental"] == "false"
            assert headers["server"].startswith("stackr/")


async def test_a_small_answer_comes_in_one_piece(serve: Serve) -> None:
    async with serve(Route("GET", "/x", _answers({"a": 1}))) as client:
        client.send("GET /x")
        piece = await client.reader.read(1 << 20)
        assert json.loads(piece.partition(b"\r\n\r\n")[2]) == {"a": 1}


async def test_a_large_answer_is_whole(serve: Serve) -> None:
    async with serve(Route("GET", "/x", _answers("x" * (1 << 20)))) as client:
        for _ in range(2):
            _, headers, body = await client.ask("GET /x")
            assert len(json.loads(body)) == 1 << 20
            assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (
            "/v1.23/x",
            400,
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade"
            " your client to a newer version",
        ),
        (
            "/v1.99/x",
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.56",
        ),
        ("/v1.2.3/x", 400, "invalid API version: 1.2.3"),
        ("/y", 404, "page not found"),
        ("/v1.56/y", 404, "page not found"),
    ],
)
async def test_paths_that_are_refused(serve: Serve, path: str, status: int, message: str) -> None:
    async with serve(Route("GET", "/x", _answers({}))) as client:
        found, _, body = await client.ask(f"GET {path}")
        assert (found, json.loads(body)["message"]) == (status, message)


async def test_errors_have_their_class_status(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(
        Route("POST", "/conflict", _raises(Conflict("taken", hint="choose another"))),
        Route("POST", "/same", _raises(NotModified("so it is"))),
        Route("POST", "/defect", _raises(ValueError("secret detail"))),
    ) as client:
        status, _, body = await client.ask("POST /conflict")
        assert (status, json.loads(body)) == (409, {"message": "taken", "hint": "choose another"})
        assert (await client.ask("POST /same"))[0::2] == (304, b"")
        status, _, body = await client.ask("POST /defect")
        assert status == 500
        assert b"secret detail" not in body
        assert b"Traceback" not in body
        assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        ("", b"{", "invalid JSON: "),
        ("", b"[" * 100_000, "invalid JSON: "),
        ("\nContent-Type: text/plain", b"{}", "unsupported Content-Type header (text/plain)"),
        ("", b'"' + b"x" * (5 << 20) + b'"', "request body: longer than"),
        ("", b"\xff\xfe{}", "invalid JSON: "),
    ],
)
async def test_bodies_that_are_refused(
    serve: Serve, headers: str, body: bytes, message: str
) -> None:
    async with serve(Route("POST", "/echo", _echo)) as client:
        status, _, answer = await client.ask(f"POST /echo{headers}", body)
        assert status == 400
        assert json.loads(answer)["message"].startswith(message)
        assert "\n" not in json.loads(answer)["message"]
        assert (await client.ask("POST /echo", b"{}"))[0] == 200


async def test_chunked_bodies_and_queries(serve: Serve) -> None:
    async with serve(Route("POST", "/echo", _echo)) as client:
        client.send("POST /echo?a=1&a=2&b=%2Fx\nTransfer-Encoding: chunked")
        client.writer.write(b'3\r\n{"k\r\n6\r\n": 42}\r\n0\r\n\r\n')
        status, _, body = await client.reply()
        want = {"body": {"k": 42}, "query": {"a": ["1", "2"], "b": ["/x"]}}
        assert (status, json.loads(body)) == (200, want)


async def test_a_waiting_client_is_told_to_continue(serve: Serve) -> None:
    async with serve(Route("POST", "/echo", _echo)) as client:
        client.send("POST /echo\nExpect: 100-continue\nContent-Length: 2")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        client.writer.write(b"{}")
        assert (await client.reply())[0] == 200


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    async with serve(
        Route("GET", "/one", _answers(1)), Route("GET", "/two", _answers(2), follows=True)
    ) as client:
        for path in ("/one", "/two", "/one"):
            client.send(f"GET {path}")
        assert [(await client.reply())[2] for _ in range(3)] == [b"1\n", b"2\n", b"1\n"]


async def test_what_is_not_http_is_refused(serve: Serve) -> None:
    async with serve() as client:
        client.writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        status, headers, body = await client.reply()
        assert (status, headers["connection"]) == (400, "close")
        assert json.loads(body)["message"].startswith("bad request: ")
        assert await client.reader.read() == b""


async def test_a_client_that_sends_no_more_of_a_refused_body_is_nothing_to_tell(
    serve: Serve,
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with serve(Route("PUT", "/x", _raises(Conflict("taken")))) as client:
        client.send("PUT /x\nContent-Length: 100")
        assert (await client.reply())[0] == 409
        client.writer.write_eof()
        assert await client.reader.read() == b""
    gc.collect()  # by which an exception that nobody has asked for is told
    assert told == []


async def test_a_client_that_goes_away_ends_what_follows(serve: Serve) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def follow(engine: Engine, request: Request) -> None:
        writer = await request.stream("application/json")
        await writer.write(b"first")
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serve(Route("GET", "/follow", follow, follows=True)) as client:
        client.send("GET /follow")
        await started.wait()
        client.writer.close()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_stopping_server_ends_what_follows(serve: Serve) -> None:
    started = asyncio.Event()

    async def follow(engine: Engine, request: Request) -> None:
        await request.stream("application/json")
        started.set()
        await asyncio.Event().wait()

    async with serve(Route("GET", "/follow", follow, follows=True)) as client:
        client.send("GET /follow")
        await started.wait()
    assert not await client.reader.read(0)


async def _upper(engine: Engine, request: Request) -> None:
    await request.json()
    client = await request.hijack("application/vnd.docker.raw-stream")
    received = b""
    while data := await client.read():
        received += data
    await client.write(received.upper())
    await client.close()


async def test_a_hijacked_stream_is_half_closed_by_its_client(serve: Serve) -> None:
    async with serve(Route("POST", "/upper", _upper, hijacks=True)) as client:
        client.send("POST /upper\nConnection: Upgrade\nUpgrade: tcp", b"{}")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"Upgrade: tcp\r\n" in head
        client.writer.write(b"some words")
        client.writer.write_eof()
        assert await client.reader.read() == b"SOME WORDS"


async def test_bytes_sent_ahead_of_the_upgrade_are_kept(serve: Serve) -> None:
    async with serve(Route("POST", "/upper", _upper, hijacks=True)) as client:
        client.send("POST /upper\nConnection: Upgrade\nUpgrade: tcp\nContent-Length: 2")
        client.writer.write(b"{}early ")
        await client.reader.readuntil(b"\r\n\r\n")
        client.writer.write(b"late")
        client.writer.write_eof()
        assert await client.reader.read() == b"EARLY LATE"


async def test_a_half_closed_client_gets_the_whole_of_what_ends(serve: Serve) -> None:
    """As `nc` and `socat` are; what has no end ends with them, or nothing would end it."""
    released = asyncio.Event()

    async def slow(engine: Engine, request: Request) -> None:
        writer = await request.stream("text/plain")
        await released.wait()
        await writer.write(b"all of it")

    def ends(request: Request) -> bool:
        return request.flag("once")

    async with serve(Route("GET", "/x", slow, follows=True, ends=ends)) as client:
        client.send("GET /x?once=1")
        client.writer.write_eof()
        await client.reader.readuntil(b"\r\n\r\n")
        asyncio.get_running_loop().call_later(0.05, released.set)
        assert b"all of it" in await client.reader.read()
    released.clear()
    async with serve(Route("GET", "/x", slow, follows=True, ends=ends)) as client:
        client.send("GET /x")
        client.writer.write_eof()
        assert b"all of it" not in await client.reader.read()


async def test_a_number_out_of_range_is_refused_by_name(serve: Serve) -> None:
    async with serve(Route("POST", "/x", _echo)) as client:
        for number in (str(2**63), str(-(2**64)), "9" * 5000):
            body = f'{{"a": {number}}}'.encode()
            status, _, answer = await client.ask("POST /x", body)
            assert status == 400
            assert "the number is out of range" in json.loads(answer)["message"]
            assert len(answer) < 200
        assert (await client.ask("POST /x", b'{"a": 9223372036854775807}'))[0] == 200


async def test_a_client_that_asks_for_no_upgrade_gets_200(serve: Serve) -> None:
    async with serve(Route("POST", "/upper", _upper, hijacks=True)) as client:
        client.send("POST /upper", b"{}")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        client.writer.write(b"x")
        client.writer.write_eof()
        assert await client.reader.read() == b"X"


async def test_an_error_before_the_hijack_is_an_answer(serve: Serve) -> None:
    async with serve(Route("POST", "/x", _raises(Conflict("no")), hijacks=True)) as client:
        status, _, body = await client.ask("POST /x\nConnection: Upgrade\nUpgrade: tcp")
        assert (status, json.loads(body)) == (409, {"message": "no"})


async def test_a_hung_up_client_is_noticed_without_a_write(serve: Serve) -> None:
    noticed = asyncio.Event()

    async def wait(engine: Engine, request: Request) -> None:
        client = await request.hijack("application/vnd.docker.raw-stream")
        assert await client.read() == b""
        await client.until_hung_up()
        noticed.set()
        await client.close()

    async with serve(Route("POST", "/wait", wait, hijacks=True)) as client:
        client.send("POST /wait\nConnection: Upgrade\nUpgrade: tcp")
        await client.reader.readuntil(b"\r\n\r\n")
        client.writer.write_eof()
        await asyncio.sleep(0)
        assert not noticed.is_set()
        client.writer.close()
        await asyncio.wait_for(noticed.wait(), 60)


async def test_hundreds_of_clients_may_connect_at_once(tmp_path: Path, serve: Serve) -> None:
    async with serve(Route("GET", "/x", _answers(1))) as client:
        with contextlib.ExitStack() as opened:
            for _ in range(600):
                other = opened.enter_context(socket.socket(socket.AF_UNIX))
                other.setblocking(False)
                other.connect(f"{tmp_path}/s")  # the server has had no turn yet
            assert (await client.ask("GET /x"))[0] == 200


async def test_a_dead_engines_socket_is_replaced_and_another_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = Server(_ENGINE, path)
    await server.open()
    assert path.stat().st_mode & 0o777 == 0o660
    await server.close()
    path.write_text("precious")
    with pytest.raises(Unavailable, match="something else is there"):
        await Server(_ENGINE, path).open()
    assert path.read_text() == "precious"
