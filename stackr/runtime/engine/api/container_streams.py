"""`/containers/{id}/{logs,attach,wait}`: answers that last.

Source: Docker Engine API, "ContainerLogs", "ContainerAttach", "ContainerWait".
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any
from urllib.parse import quote_plus

from stackr.errors import InvalidArgument, StackrError
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import detach_keys
from stackr.runtime.engine.api.http import Request
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.stream import Client, content_type, frame, pump
from stackr.runtime.engine.api.timestamp import parse_time, rfc3339
from stackr.runtime.engine.api.websocket import upgrade
from stackr.runtime.engine.container.io.json_reader import JsonLogReader
from stackr.runtime.engine.container.io.log_reader import LogReader
from stackr.runtime.engine.container.io.logs import LogEntry, LogQuery
from stackr.text import whole_number

__all__ = ["ROUTES"]

_CONDITIONS = ("not-running", "next-exit", "removed")
_STREAMS = {"stdout": 1, "stderr": 2}


def _tail(text: str) -> int | None:
    """ "all", "" and what is no number mean every line, as for dockerd."""
    return whole_number(text)


def _open_log(engine: Engine, request: Request, *, follow: bool) -> LogReader | JsonLogReader:
    query = LogQuery(
        stdout=request.flag("stdout"),
        stderr=request.flag("stderr"),
        follow=follow,
        since_ns=parse_time(request.text("since"), "since") or 0,
        until_ns=parse_time(request.text("until"), "until") or 0,
        tail=_tail(request.text("tail")),
    )
    return engine.containers.logs(request.params["id"], query)


def _details(marks: Mapping[str, str]) -> bytes:
    """What comes before each line, as dockerd writes it: "a=1,b=2 ", by name."""
    pairs = (f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(marks.items()))
    return f"{','.join(pairs)} ".encode()


def _encode(entry: LogEntry, *, framed: bool, timestamps: bool, details: bytes = b"") -> bytes:
    line = details + entry.line
    if timestamps:
        line = f"{_fixed(entry.time_ns)} ".encode() + line
    return frame(_STREAMS[entry.stream], line) if framed else line


def _fixed(time_ns: int) -> str:
    """RFC 3339 with all nine digits, so that the lines of a log align."""
    text = rfc3339(time_ns)
    return text if "." in text else text.replace("Z", ".000000000Z")


async def _logs(engine: Engine, request: Request) -> None:
    if not (request.flag("stdout") or request.flag("stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    container = engine.containers.get(request.params["id"])
    tty, timestamps = container.config.tty, request.flag("timestamps")
    marks = engine.containers.log_attributes(container.id)
    details = _details(marks) if request.flag("details") else b""
    async with aclosing(_open_log(engine, request, follow=request.flag("follow"))) as entries:
        writer = await request.stream(content_type(request.api_version, tty=tty))
        async for batch in entries.batches():
            await writer.write(
                b"".join(
                    [
                        _encode(entry, framed=not tty, timestamps=timestamps, details=details)
                        for entry in batch
                    ]
                )
            )


async def _attach(engine: Engine, request: Request) -> None:
    container = engine.containers.get(request.params["id"])
    tty = container.config.tty
    kind = content_type(request.api_version, tty=tty)
    await _attached(engine, request, lambda: request.hijack(kind), framed=not tty)


async def _attach_websocket(engine: Engine, request: Request) -> None:
    """Messages are not framed: output and errors come as they are."""
    await _attached(engine, request, lambda: upgrade(request), framed=False)


async def _attached(
    engine: Engine,
    request: Request,
    answer: Callable[[], Awaitable[Client]],
    *,
    framed: bool,
) -> None:
    container = engine.containers.get(request.params["id"])
    tty = container.config.tty
    stdin = request.flag("stdin") and container.config.open_stdin
    shown = [number for name, number in _STREAMS.items() if request.flag(name)]
    keys = detach_keys(request.text("detachKeys"), "detach")
    async with AsyncExitStack() as undo:
        attached = None
        if request.flag("stream"):
            attached = await engine.containers.attach(container.id)
            undo.push_async_callback(attached.close)
        log = None
        if request.flag("logs"):
            log = await undo.enter_async_context(aclosing(_open_log(engine, request, follow=False)))
        client = await answer()
        if log is not None:
            async for entry in log:
                await client.write(_encode(entry, framed=framed, timestamps=False))
        if attached is None:
            await client.close()
            return
        undo.pop_all()
    if await pump(
        client, attached, stdin=stdin, framed=framed, shown=shown, keys=keys if tty else b""
    ):
        engine.containers.detached(container.id)


async def _wait(engine: Engine, request: Request) -> None:
    condition = request.text("condition") or "not-running"
    if condition not in _CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    container = engine.containers.get(request.params["id"])
    exit_code = engine.containers.waiter(container.id, condition)
    try:
        writer = await request.stream("application/json")
        try:
            answer: dict[str, Any] = {"StatusCode": await exit_code}
        except StackrError as error:
            answer = {"StatusCode": -1, "Error": {"Message": error.message}}
        await writer.write(json.dumps(answer).encode() + b"\n")
    finally:
        exit_code.cancel()


def _has_end(request: Request) -> bool:
    return not request.flag("follow")


ROUTES = (
    Route("GET", "/containers/{id}/logs", _logs, follows=True, ends=_has_end),
    Route("POST", "/containers/{id}/attach", _attach, hijacks=True),
    Route("GET", "/containers/{id}/attach/ws", _attach_websocket, hijacks=True),
    Route("POST", "/containers/{id}/wait", _wait, follows=True),
)
