"""Stands between a client and an engine's socket, and writes down every request that passes."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackr_stack import STACKR, Stack, until

__all__ = ["Requests", "asking", "recording_proxy"]

_REQUEST = re.compile(rb"^([A-Z]+) (\S+) HTTP/1\.[01]\r$", re.MULTILINE)


class Requests(list[str]):
    """Those seen so far. answered: those of them to which an answer has begun.

    connections: how many were opened for them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0
        self.answered: list[str] = []

    def until_answered(self, part: str) -> None:
        """Until a request with `part` in it is: the engine knows what is wanted from then on."""
        until(lambda: any(part in line for line in self.answered), f"an answer to {part}")


@contextlib.contextmanager
def recording_proxy(folder: Path, engine: Path) -> Iterator[tuple[Path, Requests]]:
    """The proxy's own socket, and the list of requests ("GET /v1.50/info") seen so far."""
    path = folder / "proxy.sock"
    seen = Requests()
    threads: list[threading.Thread] = []
    servers: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = stack.enter_context(listener.accept()[0])
                    seen.connections += 1
                    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    stack.enter_context(server).connect(str(engine))
                    servers.append(server)
                    asked: list[str] = []
                    for target, arguments in (
                        (_ask, (client, server, seen, asked)),
                        (_answer, (server, client, seen, asked)),
                    ):
                        threads.append(threading.Thread(target=target, args=arguments))
                        threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield path, seen
        finally:
            path.unlink()
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for server in servers:  # one that is attached to may go on without a client
                _end(server, socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


@contextlib.contextmanager
def asking(
    stack: Stack, part: str, *command: str, program: str = STACKR, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A command in the background, from when its request with `part` in it is being answered.

    program: stackr, or Docker Compose. The command is killed at the end, if it still runs.
    """
    with recording_proxy(stack.folder, stack.engine.socket) as (proxy, seen):
        address = f"unix://{proxy}"
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        }
        with subprocess.Popen(
            [program, *command],
            cwd=stack.folder,
            env={**stack.environ, "STACKR_ENGINE": address, "DOCKER_HOST": address},
            text=True,
            **settings,
        ) as process:
            try:
                seen.until_answered(part)
                yield process
            finally:
                process.kill()


def _ask(client: socket.socket, server: socket.socket, seen: Requests, asked: list[str]) -> None:
    """asked: the requests of this connection whose answer is awaited."""
    for data in _received(client):
        lines = [f"{m[1].decode()} {m[2].decode()}" for m in _REQUEST.finditer(data)]
        seen += lines
        asked += lines
        _send(server, data)
    _end(server)


def _answer(server: socket.socket, client: socket.socket, seen: Requests, asked: list[str]) -> None:
    for data in _received(server):
        _send(client, data)
        seen.answered += asked
        asked.clear()
    _end(client)


def _received(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            yield data


def _send(target: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more
        target.sendall(data)


def _end(target: socket.socket, how: int = socket.SHUT_WR) -> None:
    with contextlib.suppress(OSError):
        target.shutdown(how)
