"""The socket through which an OCI runtime hands over the terminal that it makes for a process.

Source: opencontainers/runc, docs/terminals.md, "Detached new terminal".
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["ConsoleSocket"]

_NAME_BYTES = 4096


class ConsoleSocket:
    """Listens in `folder` until it is closed. path: for the runtime's `--console-socket`."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # a socket's address has room for 107 bytes, which the folder's own path may exceed
        self.path = f"/proc/{os.getpid()}/fd/{self._folder}/console"
        self._connection: socket.socket | None = None
        try:
            self._listener = socket.socket(socket.AF_UNIX)
        except OSError:
            os.close(self._folder)
            raise
        self._listener.setblocking(False)
        try:
            self._listener.bind(self.path)
            self._listener.listen(1)
        except BaseException:
            self.close()
            raise

    async def receive(self, ended: asyncio.Future[int]) -> int | None:
        """The terminal's descriptor, non-blocking; None where the runtime ends without one."""
        while True:
            is_last = ended.done()
            terminal = self._sent()
            if terminal is not None or is_last:
                return terminal
            await self._wait(ended)

    def close(self) -> None:
        for each in (self._listener, self._connection):
            if each is not None:
                each.close()
        os.close(self._folder)

    def _sent(self) -> int | None:
        with suppress(BlockingIOError):
            if self._connection is None:
                self._connection, _ = self._listener.accept()
                self._connection.setblocking(False)
            name, descriptors, *_ = socket.recv_fds(self._connection, _NAME_BYTES, 1)
            if descriptors:
                os.set_inheritable(descriptors[0], False)
                os.set_blocking(descriptors[0], False)
                return descriptors[0]
            if not name:
                self._connection.close()
                self._connection = None
        return None

    async def _wait(self, ended: asyncio.Future[int]) -> None:
        """Until there may be something to read, or the runtime has ended."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        source = self._connection or self._listener
        loop.add_reader(source, readable.set)
        waiting = asyncio.ensure_future(readable.wait())
        either: tuple[asyncio.Future[Any], ...] = (waiting, ended)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(source)
            waiting.cancel()
