"""Hangs on to the API server's connections, and writes each answer as a line of JSON.

A line is {"method", "target", "status", "type", "body", "whole"}; a body is there where it is JSON.
whole: it has not been cut at `_MOST_BYTES`, nor left by its client. The file is opened for each, so
that a daemon has no descriptor more than usual.
"""

from __future__ import annotations

import contextlib
import json
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

import h11

if TYPE_CHECKING:
    from stackr.runtime.engine.api.http import Connection, Duplex, Request

__all__ = ["record_into"]

_MOST_BYTES = 1 << 20
_JSON = "application/json"


class _Answer:
    """What is being sent on one connection."""

    def __init__(self, path: str, request: Request) -> None:
        self._path = path
        self._request = request
        self._status = 0
        self._type = ""
        self._body = bytearray()

    def saw(self, event: h11.Event) -> None:
        if isinstance(event, h11.Response):
            self._status = event.status_code
            self._type = dict(event.headers).get(b"content-type", b"").decode()
        elif isinstance(event, h11.Data) and self._type.startswith(_JSON):
            if len(self._body) < _MOST_BYTES:
                self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self.written(whole=len(self._body) < _MOST_BYTES)

    def upgraded(self, line: str) -> None:
        self._status = int(line.split()[1])
        self.written(whole=False)

    def written(self, *, whole: bool) -> None:
        """Append it, once."""
        if self._status == 0:
            return
        line = {
            "method": self._request.method,
            "target": self._request.target,
            "status": self._status,
            "type": self._type,
            "body": self._body.decode(errors="replace"),
            "whole": whole,
        }
        self._status = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # an engine in a root of its own has no such folder
            file = os.open(self._path, flags, 0o600)
            try:
                os.write(file, json.dumps(line).encode() + b"\n")
            finally:
                os.close(file)


def record_into(http: ModuleType, folder: str) -> None:
    """From now on in this process. http: `stackr.runtime.engine.api.http`, just imported."""
    answers: dict[int, _Answer] = {}
    served: Any = http.Connection
    next_request, send = served.next_request, served.send
    upgrade, close = served.upgrade, served.close

    async def asked(self: Connection) -> Request | None:
        request: Request | None = await next_request(self)
        if request is not None:
            answers[id(self)] = _Answer(f"{folder}/{os.getpid()}.jsonl", request)
        return request

    async def sent(self: Connection, *events: h11.Event) -> None:
        if id(self) in answers:
            for event in events:
                answers[id(self)].saw(event)
        await send(self, *events)

    async def upgraded(self: Connection, *lines: str) -> Duplex:
        if id(self) in answers:
            answers[id(self)].upgraded(lines[0])
        duplex: Duplex = await upgrade(self, *lines)
        return duplex

    async def closed(self: Connection) -> None:
        answer = answers.pop(id(self), None)
        if answer is not None:  # of a stream that the client has left
            answer.written(whole=False)
        await close(self)

    served.next_request, served.send = asked, sent
    served.upgrade, served.close = upgraded, closed
