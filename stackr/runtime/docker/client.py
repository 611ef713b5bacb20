"""A thin client of the Docker Engine API over HTTP/1.1: calls, streamed bodies, hijacked streams.

h11 does the protocol: it takes 8 ms to import where aiohttp's client takes 250 ms, which is longer
than a whole `up` with nothing to do. Connections are kept and used again; a call on one that the
engine has closed meanwhile is made again on a new one, as nothing of it was seen there.
Source: Docker Engine API, "Versioning", "Errors"; containers/attach, "Hijacking".
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import h11

from stackr.errors import (
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    StackrError,
    Unavailable,
    error_for_status,
)
from stackr.runtime.docker.address import EngineAddress, Stream
from stackr.runtime.tls_stream import TlsError
from stackr.text import parse_json

__all__ = ["CALL_TIMEOUT_S", "OLDEST_API", "Client", "Hijacked", "Query"]

NEWEST_API: Final = (1, 50)
OLDEST_API: Final = (1, 40)
_READ_BYTES = 1 << 16
_ERROR_BYTES = 1 << 16
CALL_TIMEOUT_S: Final = 120.0
_SAFE_METHODS: Final = ("GET", "HEAD")
"""Source: RFC 9110, 9.2.1; the Engine API keeps to it."""
_ELSEWHERE: Final = (301, 302, 303, 307, 308)
"""To where a path that is not in its plain form leads: a name in it was none (`..`)."""
_TAR: Final = ("Content-Type", "application/x-tar")

Query = Mapping[str, str | int | bool | Sequence[str] | None]


class _Gone(Exception):
    """The engine closed the connection before it answered a byte."""


class _Connection:
    """One HTTP/1.1 connection; one exchange at a time."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        self.is_used = False

    async def send_chunks(self, request: h11.Request, chunks: AsyncIterator[bytes]) -> None:
        """A body of unknown length. Where the engine answers early, the rest is not sent."""
        self.stream.writer.write(self.http.send(request) or b"")
        try:
            async for chunk in chunks:
                self.stream.writer.write(self.http.send(h11.Data(data=chunk)) or b"")
                await self.stream.writer.drain()
            self.stream.writer.write(self.http.send(h11.EndOfMessage()) or b"")
            await self.stream.writer.drain()
        except ConnectionError:
            return  # its answer says why

    async def send(self, request: h11.Request, body: bytes) -> None:
        data = self.http.send(request) or b""
        if body:
            data += self.http.send(h11.Data(data=body)) or b""
        data += self.http.send(h11.EndOfMessage()) or b""
        self.stream.writer.write(data)
        await self.stream.writer.drain()

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            data = await self.stream.reader.read(_READ_BYTES)
            if not data and self.http.their_state is h11.SEND_RESPONSE:
                raise _Gone
            self.http.receive_data(data)

    async def response(self) -> h11.Response | h11.InformationalResponse:
        while True:
            event = await self.next_event()
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return event

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            event = await self.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return

    @property
    def is_reusable(self) -> bool:
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE


@dataclass(slots=True)
class Hijacked:
    """A raw stream in both directions, after the engine switched protocols.

    is_raw: a terminal's bytes as they are; else frames of the multiplexed form.
    leading: what came with the answer's headers already.
    """

    stream: Stream
    leading: bytes
    is_raw: bool

    async def read(self) -> bytes:
        """The next bytes, or b"" at the end."""
        if self.leading:
            data, self.leading = self.leading, b""
            return data
        try:
            return await self.stream.reader.read(_READ_BYTES)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        """Raises Unavailable when the other side has gone."""
        try:
            self.stream.writer.write(data)
            await self.stream.writer.drain()
        except ConnectionError as error:
            raise Unavailable("engine: the stream was closed") from error

    async def close_write(self) -> None:
        if self.stream.writer.can_write_eof():
            self.stream.writer.write_eof()

    async def close(self) -> None:
        await self.stream.close()


class Client:
    """Calls of one engine. Every method raises errors of the `StackrError` tree only.

    read_only: a call that could change anything is refused before a byte of it is sent.
    """

    def __init__(self, address: EngineAddress, *, read_only: bool = False) -> None:
        self.address = address
        is_local = address.url.startswith("unix://")
        self._name = {} if is_local else {"Stackr-Client": os.urandom(16).hex()}
        """For an engine that cannot see our process: what is ours ends before our lock does."""
        self.read_only = read_only
        self._has_answered = False
        self._free: list[_Connection] = []
        self.capabilities: frozenset[str] = frozenset()
        """What the engine can beyond Docker's API, once `version` has asked: stackr's says so."""
        self.engine_id = ""
        """Its own name for itself, where the answer to `version` told it: stackr's does."""
        self.swarm: str | None = None
        """What `/_ping` says of a Swarm ("active/manager"); None for one that does not (< 1.42)."""
        self.has_lasting_id = True
        """Whether the ID in `/info` is the same at each call; Podman makes one up for each."""
        self._version: tuple[int, int] | None = None
        self._negotiation = asyncio.Lock()

    async def close(self) -> None:
        """Close the kept connections; calls under way go on to their end."""
        free, self._free = self._free, []
        await asyncio.gather(*(connection.stream.close() for connection in free))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> Any:
        """The answer's JSON, or None where it has no body.

        body: JSON, or a tar archive as bytes or in chunks.

        Raises the class of the answer's status with the engine's message, DeadlineExceeded, and
        Unavailable where the engine cannot be reached or goes away.
        """
        try:
            async with asyncio.timeout(timeout_s):
                async with self.stream(
                    method, path, query=query, body=body, headers=headers
                ) as chunks:
                    data = b"".join([chunk async for chunk in chunks])
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"engine: {method} {path}: no answer within {timeout_s:g} s"
            ) from error
        return self._json(data, f"{method} {path}") if data.strip() else None

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer's body as it comes, with no limit of time. Raises as `call` does."""
        async with self.answer(method, path, query=query, body=body, headers=headers) as answer:
            yield answer[1]

    @asynccontextmanager
    async def answer(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[tuple[Mapping[str, str], AsyncIterator[bytes]]]:
        """The answer's headers, their names in lower case, and its body as `stream` gives it."""
        connection, response = await self._exchange(method, path, query, body, headers or {})
        try:
            if response.status_code >= 400:
                raise await self._error(connection, response)
            if response.status_code in _ELSEWHERE:
                raise NotFound("page not found")
            names = {
                key.decode("latin-1"): each.decode("latin-1") for key, each in response.headers
            }
            yield names, self._translated(connection.body())
        finally:
            await self._release(connection)

    async def lines(self, chunks: AsyncIterator[bytes], what: str) -> AsyncIterator[Any]:
        """The JSON values, one a line, of a body that comes in chunks."""
        pending = b""
        async for chunk in chunks:
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield self._json(line, what)
        if pending.strip():
            yield self._json(pending, what)

    async def hijack(
        self, path: str, *, query: Query | None = None, body: object = None
    ) -> Hijacked:
        """POST, and take the connection over. The caller closes what it gets."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        connection, response = await self._exchange("POST", path, query, body, upgrade)
        if response.status_code >= 400:
            try:
                raise await self._error(connection, response)
            finally:
                await connection.stream.close()
        media_type = dict(response.headers).get(b"content-type", b"")
        if response.status_code != 101:
            await connection.stream.close()
            raise Unavailable(
                f'engine "{self.address.url}": {path}: it did not hand the stream over'
            )
        leading, _ = connection.http.trailing_data
        return Hijacked(connection.stream, bytes(leading), b"raw-stream" in media_type)

    # --- one exchange --------------------------------------------------------------------------

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: object,
        headers: Mapping[str, str],
    ) -> tuple[_Connection, h11.Response | h11.InformationalResponse]:
        major, minor = await self.version()
        target = f"/v{major}.{minor}{path}{_query(query)}"
        return await self._send(method, target, body, headers)

    async def _send(
        self, method: str, target: str, body: object, headers: Mapping[str, str]
    ) -> tuple[_Connection, h11.Response | h11.InformationalResponse]:
        if self.read_only and method not in _SAFE_METHODS:
            raise PermissionDenied(f"engine: {method} {target}: this command changes nothing")
        if isinstance(body, AsyncIterator):
            return await self._send_chunks(method, target, body, headers)
        data = body if isinstance(body, bytes) else _encoded(body)
        request = h11.Request(
            method=method, target=target, headers=_headers(data, body, {**self._name, **headers})
        )
        while True:
            connection = await self._acquire()
            try:
                await connection.send(request, data)
                response = await connection.response()
                self._has_answered = True
                return connection, response
            except (_Gone, ConnectionError) as error:
                failure = await self._lost(connection, error)
                if not connection.is_used:
                    raise failure from error
            except h11.RemoteProtocolError as error:
                await connection.stream.close()
                raise self._no_http(error) from error
            except BaseException:
                connection.stream.writer.close()
                raise

    async def _send_chunks(
        self, method: str, target: str, chunks: AsyncIterator[bytes], headers: Mapping[str, str]
    ) -> tuple[_Connection, h11.Response | h11.InformationalResponse]:
        """On a new connection, as what was sent of it cannot be sent again."""
        connection = _Connection(await self.address.connect())
        fields = [
            *_common_headers({**self._name, **headers}),
            _TAR,
            ("Transfer-Encoding", "chunked"),
        ]
        request = h11.Request(method=method, target=target, headers=fields)
        try:
            await connection.send_chunks(request, chunks)
            return connection, await connection.response()
        except (_Gone, ConnectionError) as error:
            raise await self._lost(connection, error) from error
        except h11.RemoteProtocolError as error:
            await connection.stream.close()
            raise self._no_http(error) from error
        except BaseException:
            connection.stream.writer.close()
            raise

    async def _acquire(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.stream.reader.at_eof():
                connection.http.start_next_cycle()
                connection.is_used = True
                return connection
            await connection.stream.close()
        return _Connection(await self.address.connect())

    async def _release(self, connection: _Connection) -> None:
        if connection.is_reusable:
            self._free.append(connection)
        else:
            await connection.stream.close()

    async def _translated(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except (_Gone, ConnectionError, h11.RemoteProtocolError) as error:
            raise self._gone() from error

    async def _error(
        self, connection: _Connection, response: h11.Response | h11.InformationalResponse
    ) -> StackrError:
        data = b""
        async for chunk in self._translated(connection.body()):
            data += chunk
            if len(data) > _ERROR_BYTES:
                break
        try:
            message = str(parse_json(data)["message"]).strip()
        except (ValueError, KeyError, TypeError):
            message = data.decode(errors="replace").strip()
        from stackr.runtime.docker.hints import hint_for, in_plain_words

        return error_for_status(response.status_code)(
            in_plain_words(message) or f"engine: status {response.status_code}",
            hint=hint_for(message),
        )

    def _no_http(self, error: Exception) -> Unavailable:
        return Unavailable(f'engine "{self.address.url}": not an answer in HTTP/1.1: {error}')

    async def _lost(self, connection: _Connection, error: Exception) -> Unavailable:
        """Close it, and tell why it ended before an answer."""
        said = "" if self._has_answered else await connection.stream.last_words()
        await connection.stream.close()
        if isinstance(error, TlsError):
            return self.address.no_tls(error)
        if self.address.url.startswith("ssh://") and not self._has_answered:
            return Unavailable(
                f'engine "{self.address.url}": '
                + (f"ssh: {said}" if said else "ssh ended without an answer from an engine there"),
                hint=f"try: ssh {self.address.host} docker system dial-stdio",
            )
        return self._gone()

    def _gone(self) -> Unavailable:
        return Unavailable(
            f'engine "{self.address.url}": it closed the connection in the middle of a call',
            hint="see the engine's log; the same command carries on from what is there",
        )

    def _json(self, data: bytes, what: str) -> Any:
        try:
            return parse_json(data)
        except ValueError as error:
            raise Unavailable(
                f'engine "{self.address.url}": {what}: not an answer in JSON'
            ) from error

    # --- versions ------------------------------------------------------------------------------

    async def version(self) -> tuple[int, int]:
        """The newest API version that both sides speak, asked for once."""
        if self._version is None:
            async with self._negotiation:
                if self._version is None:
                    self._version = await self._ask_version()
        return self._version

    async def _ask_version(self) -> tuple[int, int]:
        connection, response = await self._send("GET", "/_ping", None, {})
        try:
            if response.status_code == 400:  # a server of TLS that hears none
                raise await self._error(connection, response)
            async for _ in self._translated(connection.body()):
                pass
        finally:
            await self._release(connection)
        headers = dict(response.headers)
        offered = headers.get(b"api-version", b"").decode("ascii", "replace")
        beyond = headers.get(b"stackr-capabilities", b"").decode("ascii", "replace")
        self.capabilities = frozenset(beyond.replace(",", " ").split())
        self.engine_id = headers.get(b"stackr-engine-id", b"").decode("ascii", "replace")
        self.has_lasting_id = b"libpod-api-version" not in headers
        self.swarm = headers[b"swarm"].decode("ascii", "replace") if b"swarm" in headers else None
        try:
            major, minor = offered.split(".")
            version = min(NEWEST_API, (int(major), int(minor)))
        except ValueError:
            raise Unavailable(
                f'engine "{self.address.url}": it does not speak the Docker Engine API'
            ) from None
        if version < OLDEST_API:
            raise Unavailable(
                f'engine "{self.address.url}": its API {offered} is too old',
                hint="stackr needs 1.40 (Docker 19.03) or newer",
            )
        return version


def _encoded(body: object) -> bytes:
    return b"" if body is None else json.dumps(body, separators=(",", ":")).encode()


def _headers(data: bytes, body: object, extra: Mapping[str, str]) -> list[tuple[str, str]]:
    headers = _common_headers(extra)
    if body is not None:
        headers.append(_TAR if isinstance(body, bytes) else ("Content-Type", "application/json"))
    return [*headers, ("Content-Length", str(len(data)))]


def _common_headers(extra: Mapping[str, str]) -> list[tuple[str, str]]:
    return [("Host", "docker"), ("User-Agent", "stackr"), *extra.items()]


def _query(query: Query | None) -> str:
    """Booleans as 1 and 0; None is left out; a sequence repeats its key."""
    pairs: list[tuple[str, str]] = []
    for key, value in (query or {}).items():
        if value is None:
            continue
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        pairs += [(key, str(int(item)) if isinstance(item, bool) else str(item)) for item in values]
    return f"?{urlencode(pairs, errors='surrogateescape')}" if pairs else ""
