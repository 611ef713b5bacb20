"""Passes connections on to a server, and stops for good in the middle of a long answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

__all__ = ["StallingRelay", "stalling_relay"]


class StallingRelay:
    """address: its host:port. stalled: set once an answer was too long."""

    def __init__(self, listener: socket.socket, server: str, passes: int) -> None:
        host, port = listener.getsockname()
        self.address = f"{host}:{port}"
        self.stalled = threading.Event()
        self._listener = listener
        self._server = server
        self._passes: int | None = passes
        self._gone = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets = contextlib.ExitStack()

    def server_is_gone(self) -> None:
        """End what has stalled; what comes from now on is passed on whole."""
        self._passes = None
        self._gone.set()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._sockets.enter_context(self._listener.accept()[0])
                host, _, port = self._server.partition(":")
                server = self._sockets.enter_context(socket.socket())
                try:
                    server.connect((host, int(port)))
                except OSError:
                    client.close()
                    continue
                for copy in (self._ask, self._answer):
                    self._threads.append(threading.Thread(target=copy, args=(client, server)))
                    self._threads[-1].start()

    def close(self) -> None:
        """Once nobody accepts any more."""
        self._gone.set()
        for thread in self._threads:
            thread.join()
        self._sockets.close()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
        _shut(server)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                passed += len(data)
                if self._passes is not None and passed > self._passes:
                    self.stalled.set()
                    self._gone.wait()
                    break
                client.sendall(data)
        _shut(client)
        _shut(server)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def stalling_relay(server: str, *, passes: int) -> Iterator[StallingRelay]:
    """server: host:port. passes: how many bytes of answers go through on one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = StallingRelay(listener, server, passes)
        acceptor = threading.Thread(target=relay.accept)
        acceptor.start()
        try:
            yield relay
        finally:
            _shut(listener)
            acceptor.join()
            relay.close()
