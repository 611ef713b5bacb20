"""Stands between a client and an engine's socket, and writes down every request that passes."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = ["recording_proxy"]

_REQUEST = re.compile(rb"^([A-Z]+) (\S+) HTTP/1\.[01]\r$", re.MULTILINE)


@contextlib.contextmanager
def recording_proxy(folder: Path, engine: Path) -> Iterator[tuple[Path, list[str]]]:
    """The proxy's own socket, and the list of requests ("GET /v1.47/info") seen so far."""
    path = folder / "proxy.sock"
    seen: list[str] = []
    threads: list[threading.Thread] = []
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = stack.enter_context(listener.accept()[0])
                    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    stack.enter_context(server).connect(str(engine))
                    for arguments in ((client, server, seen), (server, client, None)):
                        threads.append(threading.Thread(target=_copy, args=arguments))
                        threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield path, seen
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()


def _copy(source: socket.socket, target: socket.socket, log: list[str] | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            if log is not None:
                log += [f"{m[1].decode()} {m[2].decode()}" for m in _REQUEST.finditer(data)]
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
