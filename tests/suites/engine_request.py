"""One JSON call of an engine's API, over its Unix socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

__all__ = ["raw_request", "request"]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def request(engine: Path | str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """The status, and the answer's JSON (None where it has no body). engine: its socket."""
    data = None if body is None else json.dumps(body).encode()
    kind = "" if body is None else "application/json"
    status, text = raw_request(engine, method, path, data, kind)
    return status, json.loads(text) if text.strip() else None


def raw_request(
    engine: Path | str, method: str, path: str, body: bytes | None, kind: str
) -> tuple[int, bytes]:
    """The status, and the answer's body. kind: of the body sent, "" where there is none."""
    connection = _Connection(os.fspath(engine))
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
