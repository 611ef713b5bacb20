"""An engine that makes nothing: it answers clients as one would, and keeps what they ask."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Asked", "silent_engine"]


class Asked(list[tuple[str, str, dict[str, list[str]], Any]]):
    """(method, path without its version, query, body) of each call but for pings."""

    def clear_and_get(self) -> list[tuple[str, str, dict[str, list[str]], Any]]:
        found = list(self)
        self.clear()
        return found


@contextlib.contextmanager
def silent_engine(folder: Path) -> Iterator[tuple[str, Asked]]:
    """Its address, and the calls so far."""
    path, asked = folder / "silent.sock", Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            where = parts.path if parts.path == "/_ping" else "/" + parts.path.split("/", 2)[2]
            if where != "/_ping":
                asked.append(
                    (self.command, where, parse_qs(parts.query), json.loads(body or b"null"))
                )
            self._send(_ANSWERS.get(where, {}), 201 if where.endswith("create") else 200)

        def _send(self, answer: object, status: int) -> None:
            text = b"" if self.command == "HEAD" else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Api-Version", "1.47")
            self.send_header("Ostype", "linux")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = answer

        def log_message(self, *_: Any) -> None:
            return

        def address_string(self) -> str:
            return "client"

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has gone, as the docker CLI does from its pings."""

    with Server(str(path), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield f"unix://{path}", asked
        finally:
            server.shutdown()
            serving.join()


_ANSWERS: dict[str, Any] = {
    "/containers/create": {"Id": "c" * 64, "Warnings": []},
    "/networks/create": {"Id": "n" * 64, "Warning": ""},
    "/volumes/create": {"Name": "made", "Driver": "local", "Mountpoint": "/x", "Scope": "local"},
    "/auth": {"Status": "Login Succeeded", "IdentityToken": ""},
    "/info": {"ID": "silent", "OSType": "linux"},
}
