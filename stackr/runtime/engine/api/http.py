"""HTTP/1.1 on one connection: requests in, answers out, and the hand-over of a hijacked stream.

h11 keeps the protocol's state; this file moves bytes between it and an asyncio stream. It knows
nothing of routes, versions or resources. (aiohttp's server was measured: 200 ms more at start and
16 MB more memory than h11, with no hand-over of a half-closed connection.)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from stackr.errors import DeadlineExceeded, InvalidArgument, StackrError
from stackr.runtime.engine.api.hangups import HangUps
from stackr.text import parse_json, unicode, whole_number

__all__ = [
    "BodyWriter",
    "Connection",
    "Duplex",
    "Request",
    "Response",
    "json_response",
    "terminal_size",
]

_READ_BYTES = 64 * 1024
_SMALL_BYTES = 64 * 1024  # of an answer that is sent in one piece with its head
_HEADER_BYTES = 128 * 1024  # a filters query over many names, or credentials, may be long
_JSON_BYTES = 4 * 1024 * 1024
_PIPELINED_BYTES = 1024 * 1024
_PATIENCE_S = 60.0
"""With a client that sends a small body, or takes a whole answer; streams may take for ever."""

_LINGER_S = 2.0
_MOST_LINGER_S = 10.0
"""With a client that does not hang up at its stream's end: of silence, and in all."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_LARGEST = 2**63 - 1
_LARGEST_SIDE = 2**16 - 1  # of a terminal: TIOCSWINSZ takes unsigned short integers

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; `body` is None where there is none to send (204, 304)."""

    status: int = 200
    body: bytes | None = b""
    headers: Headers = ()


def json_response(value: object, status: int = 200) -> Response:
    """`value` as a JSON answer."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    body = unicode(text).encode() + b"\n"
    return Response(status, body, (("Content-Type", "application/json"),))


def terminal_size(request: Request) -> tuple[int, int]:
    """Height and width of a resize. Raises InvalidArgument, with Docker's text, for no numbers."""
    return _side(request.text("h"), "height"), _side(request.text("w"), "width")


def _side(text: str, name: str) -> int:
    number = whole_number(text, most=_LARGEST_SIDE)
    if number is None:
        raise InvalidArgument(f'invalid resize {name} "{text[:100]}": not in 0 to 65535')
    return number


class BodyWriter:
    """The body of an answer that is sent while it is made, in chunks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def write(self, data: bytes) -> None:
        """Send one chunk; waits for a slow client. Raises ConnectionError once it is gone."""
        if data:
            await self._connection.send(h11.Data(data=data))


class Duplex:
    """A hijacked connection: raw bytes both ways, each way ended on its own."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        hang_ups: HangUps,
        *,
        early: bytes,
        ended: bool,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._hang_ups = hang_ups
        self._early = early
        self._ended = ended

    async def read(self) -> bytes:
        """Bytes of the client; b"" once it has closed its side."""
        if self._early:
            early, self._early = self._early, b""
            return early
        return b"" if self._ended else await self._reader.read(_READ_BYTES)

    async def until_hung_up(self) -> None:
        """Return once the client has closed both sides; its half-close does not count."""
        await self._hang_ups.wait(self._writer.get_extra_info("socket").fileno())

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """Send what is left, end our side, and close; a client that is gone is no error.

        What it still sends is read for a while: a connection that is closed with something unread
        is reset, and the client loses what it has not read of us.
        """
        try:
            if self._writer.can_write_eof():
                self._writer.write_eof()
                await self._hear_out()
            self._writer.close()
            await self._writer.wait_closed()
        except (ConnectionError, OSError):
            self._writer.transport.abort()

    async def _hear_out(self) -> None:
        """Until the client has closed its side, sends nothing more, or does not come to an end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOST_LINGER_S):
                while await asyncio.wait_for(self.read(), _LINGER_S):
                    pass


@dataclass(slots=True)
class Request:
    """One request. `path` is decoded and has no version prefix; `query` keeps repeated keys."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    connection: Connection
    target: str = ""
    """As it was sent: encoded, with version and query."""
    api_version: tuple[int, int] = (0, 0)
    params: Mapping[str, str] = field(default_factory=dict)

    def text(self, key: str, default: str = "") -> str:
        """A query parameter; the first one where it is repeated.

        Bytes that are no UTF-8 are U+FFFD.
        """
        return unicode(self.raw_text(key, default))

    def raw_text(self, key: str, default: str = "") -> str:
        """As `text`, for a path in a file system: bytes that are no UTF-8 are surrogates."""
        return self.query.get(key, [default])[0]

    def flag(self, key: str, default: bool = False) -> bool:
        """A query parameter as Docker reads booleans: all but "", 0, no, false and none is true."""
        if key not in self.query:
            return default
        return self.text(key).strip().lower() not in ("", "0", "no", "false", "none")

    def integer(self, key: str, default: int) -> int:
        """A query parameter as a number. Raises InvalidArgument."""
        value = self.optional_integer(key)
        return default if value is None else value

    def optional_integer(self, key: str) -> int | None:
        """As `integer`, None where the parameter is absent or empty."""
        value = self.text(key)
        if not value:
            return None
        if _INTEGER.fullmatch(value) is None or abs(int(value)) > _LARGEST:
            raise InvalidArgument(f'query parameter "{key}": not a number: "{value[:100]}"')
        return int(value)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        async for chunk in self.connection.receive_body():
            yield chunk

    async def json(self) -> Any:
        """The body as JSON, None where it is empty.

        Raises InvalidArgument for another content type, more than 4 MiB, or a syntax error,
        DeadlineExceeded for a body that does not come.
        """
        body = await self._whole_body()
        if not body.strip():
            return None
        kind = self.headers.get("content-type", "application/json").partition(";")[0].strip()
        if kind.lower() != "application/json":
            raise InvalidArgument(
                f'unsupported Content-Type header ({kind}): must be "application/json"'
            )
        try:
            return parse_json(body, most=_LARGEST)
        except ValueError as error:
            raise InvalidArgument(f"invalid JSON: {error}") from error

    async def _whole_body(self) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                async for chunk in self.connection.receive_body():
                    body += chunk
                    if len(body) > _JSON_BYTES:
                        raise InvalidArgument(f"request body: longer than {_JSON_BYTES} bytes")
        except TimeoutError as error:
            raise DeadlineExceeded(f"request body: not all here in {_PATIENCE_S:g} s") from error
        return bytes(body)

    async def json_object(self) -> dict[str, Any]:
        """As `json`, for a body that must be an object; an empty body is an empty object."""
        value = await self.json()
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidArgument("invalid JSON: expected an object")
        return value

    async def stream(self, content_type: str, *, headers: Headers = ()) -> BodyWriter:
        """Start an answer of unknown length; its status and headers are sent at once."""
        await self.connection.send_head(
            200, [("Content-Type", content_type), ("Transfer-Encoding", "chunked"), *headers]
        )
        return BodyWriter(self.connection)

    async def hijack(self, content_type: str) -> Duplex:
        """Answer 101 (or 200 to a client that asked for no upgrade); HTTP ends here."""
        return await self.connection.hijack(content_type)


class ClientGone(Exception):
    """The connection ended in the middle of a request or of an answer."""


class Connection:
    """One client's connection, for any number of requests after one another."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        headers: Headers,
        hang_ups: HangUps,
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._hang_ups = hang_ups
        self._headers = headers
        self.settled = settled
        """Returns once what this client's process began and left, on any connection, has ended."""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEADER_BYTES)
        self._pipelined = 0
        self.hijacked = False

    @property
    def peer(self) -> Any:
        """The connected socket, for what it tells of the client."""
        return self._writer.get_extra_info("socket")

    @property
    def answered(self) -> bool:
        """Whether the head of the current answer is sent already."""
        return self.hijacked or self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    async def next_request(self) -> Request | None:
        """The next request's head, None once the client is done. Raises h11.RemoteProtocolError."""
        event = await self._next_event()
        if not isinstance(event, h11.Request):
            return None
        target = event.target.decode("latin-1")
        path, query = _split_target(target)
        return Request(
            method=event.method.decode("ascii"),
            path=unquote(path, errors="surrogateescape"),
            query=parse_qs(query, keep_blank_values=True, errors="surrogateescape"),
            headers={
                name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
            },
            connection=self,
            target=target,
        )

    async def receive_body(self) -> AsyncIterator[bytes]:
        while self._http.their_state is h11.SEND_BODY:
            if self._http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif not isinstance(event, h11.EndOfMessage):
                raise ClientGone

    async def until_gone(self, *, half: bool) -> None:
        """Return once the client has gone; drops the body, keeps what is sent ahead.

        half: it has gone once it has closed its own side, whether or not it still listens.
        """
        async for _ in self.receive_body():
            pass
        while self._pipelined < _PIPELINED_BYTES:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                if not half:
                    await self._hang_ups.wait(self.peer.fileno())
                return
            self._pipelined += len(data)
            self._http.receive_data(data)
        await asyncio.Event().wait()

    async def respond(self, response: Response, *, head_only: bool = False) -> None:
        """Raises ClientGone where the client does not take it: it is held in memory until then."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._respond(response, head_only=head_only)
        except TimeoutError as error:
            self._writer.transport.abort()
            raise ClientGone(f"it has not taken its answer in {_PATIENCE_S:g} s") from error

    async def _respond(self, response: Response, *, head_only: bool) -> None:
        body = response.body
        headers = list(response.headers)
        if body is not None:
            headers.append(("Content-Length", str(len(body))))
        head = self._head(response.status, headers)
        if not body or head_only:
            await self.send(head)
        elif len(body) <= _SMALL_BYTES:
            await self.send(head, h11.Data(data=body))
        else:
            await self.send(head)
            await self.send(h11.Data(data=body))
        await self.finish()

    async def send_head(self, status: int, headers: Headers) -> None:
        await self.send(self._head(status, headers))

    def _head(self, status: int, headers: Headers) -> h11.Response:
        return h11.Response(
            status_code=status,
            headers=[*self._headers, *headers],
            reason=HTTPStatus(status).phrase,
        )

    async def finish(self) -> None:
        """End the current answer."""
        if not self.hijacked and self._http.our_state is h11.SEND_BODY:
            await self.send(h11.EndOfMessage())

    async def send(self, *events: h11.Event) -> None:
        """In one piece, by which a client is woken once."""
        data = b"".join(self._http.send(event) or b"" for event in events)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def ready_for_next(self) -> bool:
        """Whether another request may follow; what the client still sends of this one is read."""
        if self.hijacked or self._http.our_state in (h11.ERROR, h11.MUST_CLOSE, h11.CLOSED):
            return False
        async for _ in self.receive_body():
            pass
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._pipelined = 0
        return True

    async def hijack(self, content_type: str) -> Duplex:
        async for _ in self.receive_body():
            pass
        upgrade = self._http.their_state not in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
        lines = ["HTTP/1.1 101 UPGRADED" if upgrade else "HTTP/1.1 200 OK"]
        lines.append(f"Content-Type: {content_type}")
        if upgrade:
            lines += ["Connection: Upgrade", "Upgrade: tcp"]
        return await self.upgrade(*lines)

    async def upgrade(self, *lines: str) -> Duplex:
        """HTTP ends with these lines of an answer, and what the client has sent ahead is read."""
        async for _ in self.receive_body():
            pass
        early, ended = self._http.trailing_data
        self.hijacked = True
        lines = (*lines, *(f"{name}: {value}" for name, value in self._headers))
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self._writer.drain()
        return Duplex(self._reader, self._writer, self._hang_ups, early=bytes(early), ended=ended)

    async def close(self) -> None:
        """Send what is left, and hang up; at once where this is cancelled."""
        self._writer.close()
        try:
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        except asyncio.CancelledError:
            # asyncio fails to abort what it has closed after it had sent what was left
            with contextlib.suppress(AttributeError):
                self._writer.transport.abort()
            raise

    async def _next_event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._reader.read(_READ_BYTES))


def _split_target(target: str) -> tuple[str, str]:
    """Path and query of a request's target, still encoded.

    Raises h11.RemoteProtocolError for an absolute form that is none.
    """
    if not target.startswith("/"):
        try:
            absolute = urlsplit(target)
        except ValueError as error:
            raise h11.RemoteProtocolError(f"the request's target is no URL: {error}") from error
        return absolute.path, absolute.query
    path, _, query = target.partition("?")
    return path, query


def error_body(error: StackrError) -> dict[str, str]:
    """The API's error object; the hint is ours, and other clients pass it over."""
    body = {"message": error.message}
    if error.hint:
        body["hint"] = error.hint
    return body
