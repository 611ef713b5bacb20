"""The API's server: its endpoints, the version in the path, and one handler a request.

A route that follows (logs, events, wait, pull) is cancelled when its client goes away; any other
one ends what it began, as a half-made container helps nobody.
Source: Docker Engine API, "Versioning" and "Errors".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import h11

from stackr.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.endpoints import Endpoint, listen_unix
from stackr.runtime.engine.api.errors import error_response
from stackr.runtime.engine.api.hangups import HangUps
from stackr.runtime.engine.api.http import (
    ClientGone,
    Connection,
    Request,
    Response,
    error_body,
    json_response,
)
from stackr.runtime.engine.api.listener import Client, Listener
from stackr.runtime.engine.api.listening import while_listening
from stackr.runtime.engine.api.route import Route, Router, clean_path
from stackr.runtime.engine.api.routes import ROUTES
from stackr.runtime.engine.linux import descriptors
from stackr.runtime.engine.linux.heap import HeapTrim
from stackr.runtime.engine.linux.process import Process, is_exiting, start_ticks
from stackr.runtime.engine.version import API_VERSION, MIN_API_VERSION, version_text
from stackr.runtime.tls_stream import TlsProtocol
from stackr.text import visible
from stackr.version import __version__

__all__ = ["Server"]

_log = logging.getLogger(__name__)
_VERSION = re.compile(r"/v([0-9.]+)(/.*)")
_MOST_VERSION = 16
_GRACE_S = 5.0
_REFUSAL_S = 5.0
_HANDSHAKE_S = 10.0
_MOST_NAME = 64
_NO_HTTP = (
    b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n"
)
"""In the words of Go's server, which clients show."""

_HEADERS = (
    ("Api-Version", version_text(API_VERSION)),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", f"stackr/{__version__} (linux)"),
)


class Server:
    """Serves `engine` at the Unix socket `own`, which `group` may use, and at further endpoints.

    own: a path, or the socket that systemd has opened there.
    """

    def __init__(
        self,
        engine: Engine,
        own: Path | Endpoint,
        further: Sequence[Endpoint] = (),
        group: int = 0,
        *,
        routes: Sequence[Route] | None = None,
        took: Callable[[Route, float], None] = lambda *_: None,
        least_version: tuple[int, int] = MIN_API_VERSION,
    ) -> None:
        """routes: other ones than the API's. took: told of each call's seconds. least_version: of
        the API; who asks for an older one is refused.
        """
        self._least_version = least_version
        self._engine = engine
        self._own = own
        self._further = further
        self._group = group
        self._listener = Listener(self._connected)
        self._router = Router(ROUTES if routes is None else routes)
        self._took = took
        self._hang_ups = HangUps()
        self._heap = HeapTrim()
        self._busy: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[Response | None]] = set()
        self._streaming: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; a socket that a dead engine left is replaced. Raises Unavailable."""
        own = self._own
        self._listener.open(
            own if isinstance(own, Endpoint) else listen_unix(own, group=self._group)
        )
        for endpoint in self._further:
            self._listener.open(endpoint)

    def reopen(self, path: Path) -> None:
        """Listen again where the socket has been removed. Raises Unavailable."""
        if self._listener.is_open:
            self._listener.replace_own(listen_unix(path, group=self._group))

    async def close(self) -> None:
        """Take no more, end the streams, give running requests a few seconds, and hang up."""
        await self._listener.close()
        for following in [*self._following]:
            following.cancel()
        if self._busy:
            await asyncio.wait([*self._busy], timeout=_GRACE_S)
        connections = [*self._listener.connections]
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections, timeout=_GRACE_S)
        self._hang_ups.close()
        self._heap.close()

    async def _connected(self, client: Client, refusal: Unavailable | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            reader, writer = await self._streams(client, task)
        except (OSError, TimeoutError) as error:
            _log.debug("%s: no handshake: %s", client.endpoint.name, error)
            return
        except asyncio.CancelledError:
            _log.debug("hung up, as the engine stops")
            return
        connection = Connection(
            reader, writer, _HEADERS, self._hang_ups, lambda: self._settled(client)
        )
        try:
            if refusal is None:
                await self._serve(connection, task, client)
            else:
                await _turn_away(connection, refusal)
        except (ConnectionError, ClientGone, h11.ProtocolError, TimeoutError) as error:
            _log.debug("a client went away: %s", error)
        except asyncio.CancelledError:
            _log.debug("hung up, as the engine stops or others need the room")
        finally:
            self._heap.worked()
            with contextlib.suppress(asyncio.CancelledError):
                await connection.close()

    async def _streams(
        self, client: Client, task: asyncio.Task[None]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError and TimeoutError where TLS does not come about.

        Who is slow to shake hands may be asked to go; one without TLS has asked for something.
        """
        loop, tls = asyncio.get_running_loop(), client.endpoint.tls
        if tls is not None:
            secured = TlsProtocol(tls, answer_to_http=_NO_HTTP)
            await loop.connect_accepted_socket(lambda: secured, client.connection)
            with self._listener.idle(task, client.connection):
                async with asyncio.timeout(_HANDSHAKE_S):
                    return secured.reader, await secured.writer()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, client.connection)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _serve(
        self, connection: Connection, task: asyncio.Task[None], client: Client
    ) -> None:
        while self._listener.is_open:
            try:
                with self._listener.idle(task, client.connection):
                    request = await connection.next_request()
            except h11.RemoteProtocolError as error:
                await _refuse(connection, error)
                return
            if request is None:
                return
            client.name = request.headers.get("stackr-client", "")[:_MOST_NAME]
            self._busy.add(task)
            try:
                await self._handle(connection, request, client.endpoint)
            finally:
                self._busy.discard(task)
                self._heap.worked()
            if not await connection.ready_for_next():
                return

    async def _handle(self, connection: Connection, request: Request, endpoint: Endpoint) -> None:
        what = visible(f"{request.method} {request.path}", one_line=True)
        try:
            if endpoint.is_open_to_all:
                _refuse_browsers(request)
            response = await self._answer(connection, request, endpoint)
        except (ConnectionError, ClientGone):
            raise
        except h11.RemoteProtocolError as error:
            response = error_response(InvalidArgument(f"request body: {error}"), what)
        except Exception as error:
            response = error_response(error, what)
            if connection.answered:
                raise ClientGone(f"{what}: cut off: {error}") from error
        if response is not None and not connection.answered:
            await connection.respond(response, head_only=request.method == "HEAD")
        else:
            await connection.finish()

    async def _answer(
        self, connection: Connection, request: Request, endpoint: Endpoint
    ) -> Response | None:
        _refuse_nul(request)
        if (cleaned := clean_path(request.path)) != request.path:
            return _moved(cleaned, request)
        request.api_version, request.path = _split_version(request.path, self._least_version)
        found = self._router.find(request.method, request.path)
        if found is None:
            raise NotFound("page not found")
        route, request.params = found
        if not (route.follows or route.hijacks):
            began = time.monotonic()
            answer = await route.handler(self._engine, request)
            self._took(route, time.monotonic() - began)
            return answer
        if not await self._listener.make_room(2):
            raise descriptors.too_many_open_files()
        work = asyncio.ensure_future(_run(self._engine, route, request))
        self._following.add(work)
        task = asyncio.current_task()
        assert task is not None
        self._streaming.add(task)
        try:
            return await (
                work
                if route.hijacks
                else while_listening(
                    connection, work, half=not (endpoint.is_local and route.ends(request))
                )
            )
        except asyncio.CancelledError:
            if not work.cancelled():
                raise
            raise Unavailable("the engine is stopping") from None
        finally:
            self._streaming.discard(task)
            self._following.discard(work)
            work.cancel()

    async def _settled(self, client: Client) -> None:
        """Return once what the client began, and left on any connection, has ended."""
        await _has_hung_up(client.pid)
        await self._listener.caught_up()
        connections = self._listener.connections.items()
        left = [
            task
            for task, other in connections
            if other.is_of(client) and (task in self._busy if client.name else other.has_gone)
        ]
        left = [task for task in left if task not in self._streaming]
        if left:
            await asyncio.wait(left)


async def _has_hung_up(pid: int) -> None:
    """A process that ends closes one connection after the other: return when it has them all."""
    if is_exiting(pid):
        process = Process.find(pid, start_ticks(pid))
        if process is not None:
            with process:
                await process.ended()


async def _run(engine: Engine, route: Route, request: Request) -> Response | None:
    return await route.handler(engine, request)


def _moved(path: str, request: Request) -> Response:
    """Where what was asked for is: clients that join addresses and paths carelessly go there."""
    query = request.target.partition("?")[2]
    location = quote(path, safe="/:@!$&'()*+,;=~", errors="surrogateescape")
    return Response(301, headers=(("Location", location + (f"?{query}" if query else "")),))


def _refuse_nul(request: Request) -> None:
    """No name, path or word of a command has one: C's strings end there. Raises InvalidArgument."""
    texts = (text for values in request.query.values() for text in values)
    if "\0" in request.path or any("\0" in text for text in texts):
        raise InvalidArgument("invalid request: a NUL character in the path or a parameter")


def _split_version(
    path: str, least: tuple[int, int] = MIN_API_VERSION
) -> tuple[tuple[int, int], str]:
    """The API version that the path asks for (ours where it names none), and the path without it.

    Raises InvalidArgument with Docker's text for a version that is not spoken.
    """
    match = _VERSION.fullmatch(path)
    if match is None:
        return API_VERSION, path
    text = match[1][:_MOST_VERSION]
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit()):
        raise InvalidArgument(f"invalid API version: {text}")
    version = (int(major), int(minor))
    if version < least:
        raise InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is"
            f" {version_text(least)}, please upgrade your client to a newer version"
        )
    if version > API_VERSION:
        raise InvalidArgument(
            f"client version {text} is too new. Maximum supported API version is"
            f" {version_text(API_VERSION)}"
        )
    return version, match[2]


async def _refuse(connection: Connection, error: h11.RemoteProtocolError) -> None:
    """Answer bytes that are not HTTP, and hang up."""
    if not connection.answered:
        body = {"message": f"bad request: {error}"}
        headers = (*json_response(body).headers, ("Connection", "close"))
        await connection.respond(Response(400, json_response(body).body, headers))


async def _turn_away(connection: Connection, refusal: Unavailable) -> None:
    """Answer the first request with why there can be none."""
    async with asyncio.timeout(_REFUSAL_S):
        if await connection.next_request() is not None:
            answer = json_response(error_body(refusal))
            headers = (*answer.headers, ("Connection", "close"))
            await connection.respond(Response(refusal.status, answer.body, headers))


def _refuse_browsers(request: Request) -> None:
    """A page of any site could send requests to an engine on loopback. Raises PermissionDenied."""
    if "origin" in request.headers or "sec-fetch-site" in request.headers:
        raise PermissionDenied("the engine takes no requests of web pages where it asks for no key")
