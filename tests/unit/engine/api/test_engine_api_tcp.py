"""The API's server on TCP: half-closed clients, web pages, and what a lost client began."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from stackr.runtime.engine.api import server as server_module
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.endpoints import inherited_sockets, listen
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.server import Server
from stackr.runtime.engine.hosts import TcpHost

_ENGINE = cast(Engine, None)


class Handlers:
    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.log: list[str] = []

    async def answer(self, engine: Engine, request: Request) -> Response:
        return json_response("here")

    async def create(self, engine: Engine, request: Request) -> Response:
        self.log.append("begun")
        await self.may_end.wait()
        self.log.append("created")
        return json_response("created")

    async def hold(self, engine: Engine, request: Request) -> None:
        try:
            await request.stream("text/plain")
            self.log.append("held")
            await asyncio.Event().wait()
        finally:
            await request.connection.settled()
            self.log.append("free")


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: Handlers
) -> AsyncIterator[int]:
    routes = (
        Route("GET", "/x", handlers.answer),
        Route("POST", "/create", handlers.create),
        Route("POST", "/hold", handlers.hold, follows=True, ends=lambda _: True),
    )
    monkeypatch.setattr(server_module, "ROUTES", routes)
    endpoints = [*listen(TcpHost("127.0.0.1", 0), None, {})]
    server = Server(_ENGINE, tmp_path / "s", endpoints)
    await server.open()
    yield endpoints[0].listener.getsockname()[1]
    await server.close()


async def ask(
    port: int, method: str, path: str, *headers: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = (f"{method} {path} HTTP/1.1", "Host: d", *headers, "", "")
    writer.write("\r\n".join(lines).encode())
    return reader, writer


async def until(log: list[str], word: str) -> None:
    while word not in log:
        await asyncio.sleep(0.001)


async def test_a_lock_waits_for_what_its_client_began(port: int, handlers: Handlers) -> None:
    """By the client's name for itself, as its process cannot be seen."""
    async with asyncio.timeout(30):
        _, lock = await ask(port, "POST", "/hold", "Stackr-Client: one")
        await until(handlers.log, "held")
        _, create = await ask(port, "POST", "/create", "Stackr-Client: one")
        await until(handlers.log, "begun")
        _, other = await ask(port, "POST", "/create", "Stackr-Client: two")
        lock.close()
        create.close()
        reader, asking = await ask(port, "GET", "/x")
        await reader.readuntil(b'"here"')
        assert "free" not in handlers.log
        handlers.may_end.set()
        await until(handlers.log, "free")
        assert handlers.log.index("created") < handlers.log.index("free")
        for writer in (asking, other):
            writer.close()


async def test_a_client_that_closed_its_side_has_gone(port: int, handlers: Handlers) -> None:
    """Over a network nothing tells it from one that has ended, and dockerd does so, too."""
    async with asyncio.timeout(30):
        _, writer = await ask(port, "POST", "/hold")
        await until(handlers.log, "held")
        writer.write_eof()
        await until(handlers.log, "free")
        writer.close()


@pytest.mark.parametrize("header", ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"])
async def test_pages_of_the_web_are_refused(port: int, header: str) -> None:
    async with asyncio.timeout(30):
        reader, writer = await ask(port, "GET", "/x", header)
        assert b" 403 " in await reader.readline()
        writer.close()


def test_nothing_is_inherited_from_somebody_elses_systemd() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "a", "HOME": "/"}
    assert inherited_sockets(environ) == {}
    assert environ == {"HOME": "/"}


def test_a_client_that_vanishes_is_asked_for() -> None:
    (endpoint,) = listen(TcpHost("127.0.0.1", 0), None, {})
    endpoint.listener.setblocking(True)
    with socket.create_connection(endpoint.listener.getsockname()[:2]):
        accepted, _ = endpoint.listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
    endpoint.close()
