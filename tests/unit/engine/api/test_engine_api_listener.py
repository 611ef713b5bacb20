"""Clients where the engine's descriptors run short: who is let in, who has to go, who is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from open_files import room_for

from stackr.runtime.engine.api import server as server_module
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.server import Server
from stackr.runtime.engine.linux import descriptors

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _answer(engine: Engine, request: Request) -> Response:
    return json_response("here")


async def _follow(engine: Engine, request: Request) -> None:
    await request.stream("text/plain")
    await asyncio.Event().wait()


@pytest.fixture
async def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    routes = (Route("GET", "/x", _answer), Route("GET", "/follow", _follow, follows=True))
    monkeypatch.setattr(server_module, "ROUTES", routes)
    monkeypatch.setattr(descriptors, "share", lambda: 20)
    server = Server(cast(Engine, None), tmp_path / "s")
    await server.open()
    yield tmp_path / "s"
    await server.close()


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(client: Streams, target: str) -> bytes:
    """The head of the answer, and its body where it has a length."""
    reader, writer = client
    writer.write(f"GET {target} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.split(b":")[1]))
    return head


async def test_who_waits_longest_makes_room_for_who_asks(path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        idle = [await stack.enter_async_context(connected(path)) for _ in range(40)]
        for client in reversed(idle):
            assert b" 200 " in await ask(client, "/x")
        with room_for(19):
            asking = await stack.enter_async_context(connected(path))
            assert b'"here"' in await ask(asking, "/x")
            assert await idle[-1][0].read() == b""
        assert b'"here"' in await ask(idle[0], "/x")


async def test_where_all_are_served_who_comes_is_told_why(path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        for _ in range(40):
            client = await stack.enter_async_context(connected(path))
            assert b" 200 " in await ask(client, "/follow")
        with room_for(19):
            for _ in range(30):
                async with connected(path) as refused:
                    answer = await ask(refused, "/x")
                assert b" 503 " in answer
                message = json.loads(answer.partition(b"\r\n\r\n")[2])["message"]
                assert message.startswith("engine: too many open files: its limit is ")
            quiet = [await stack.enter_async_context(connected(path)) for _ in range(5)]
            assert b" 503 " in await ask(quiet[4], "/x")
        async with connected(path) as client:
            assert b" 200 " in await ask(client, "/x")


async def test_without_a_descriptor_clients_wait(path: Path) -> None:
    async with asyncio.timeout(60):
        with room_for(1):
            reader, writer = await asyncio.open_unix_connection(path)
            answer = asyncio.ensure_future(ask((reader, writer), "/x"))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not answer.done()
        assert b" 200 " in await answer
        writer.close()
