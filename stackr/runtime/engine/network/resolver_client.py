"""The daemon's side of the resolver process: find one that runs, start one, tell it, replace it.

The process outlives the daemon (`resolver/program.py`). It gets its listening socket and a first
connection from the daemon that starts it, so it can be told things before it has come up, and the
next daemon always finds it. Everything here is on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import stackr
from stackr.errors import Internal
from stackr.runtime.engine.linux.process import Process, start_ticks
from stackr.runtime.engine.network.resolver import wire

__all__ = ["ResolverClient"]

_log = logging.getLogger(__name__)
_MARK = "stackr-resolver"
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[2]);"
    " from stackr.runtime.engine.network.resolver.program import main; main(sys.argv[3:])"
)
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}
_GREETING_S = 10.0
_END_S = 3.0
_BACKLOG = 8
_LOG_BYTES = 1 << 20

Document = Mapping[str, Any]


class ResolverClient:
    """serves: the containers, by ID, whose sockets the process has.

    lost: called when the process has gone; it served everything that it had, and does not now.
    """

    def __init__(self, path: Path, resolv_conf: Path, lost: Callable[[], None]) -> None:
        self.serves: set[str] = set()
        self._path = path
        self._resolv_conf = resolv_conf
        self._lost = lost
        self._connection: socket.socket | None = None
        self._process: Process | None = None
        self._outdated: list[Process] = []
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def find(self) -> None:
        """Connect to the process that an earlier daemon has left, if there is one.

        One that speaks another protocol, or does not answer, is ended by `end_outdated`.
        """
        connection = _connected(self._path)
        if connection is None:
            return
        try:
            greeting = await _greeting(connection)
        except ConnectionError:
            connection.close()  # it has just ended
            return
        pid = greeting.get("pid", 0)
        process = Process.find(pid, start_ticks(pid))
        if process is None:
            connection.close()
            self._outdated = _processes_at(self._path)
            return
        self.serves = set(greeting["serves"])
        self._take(connection, process)

    def start(self) -> None:
        """Start the process, where there is no connection to one. Raises Internal."""
        if self._connection is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs, _listener(self._path) as listener:
                pid = self._spawn(listener, theirs)
        except OSError as error:
            ours.close()
            raise Internal(f"resolver: cannot be started: {error}") from error
        process = Process.find(pid, start_ticks(pid))
        if process is None:
            ours.close()
            raise Internal("resolver: it ended while it started")
        self._take(ours, process)

    def _spawn(self, listener: socket.socket, theirs: socket.socket) -> int:
        log = self._path.with_suffix(".log")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            flags |= os.O_TRUNC
        # Whatever else this process starts closes descriptors that are not meant for it.
        for end in (listener, theirs):
            end.set_inheritable(True)
        root = Path(stackr.__file__).parents[1]
        descriptors = [str(listener.fileno()), str(theirs.fileno())]
        paths = [str(self._path), str(self._resolv_conf)]
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _PROGRAM, _MARK, str(root), *descriptors, *paths],
            _ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )

    def end_outdated(self) -> None:
        """End the process that `find` found unfit, once another serves its containers."""
        outdated, self._outdated = self._outdated, []
        for process in outdated:
            self._end(process)

    def serve(self, container: Document, fds: Sequence[int]) -> None:
        """Hand a container over, in the words of `wire.py`; the descriptors are closed here."""
        self._send({"serve": container}, fds)
        if self._connection is not None:
            self.serves.add(container["id"])

    def update(self, containers: Sequence[Document]) -> None:
        """Change what is known of containers that it serves, of all at once."""
        self._send({"update": containers})

    def forget(self, container_ids: Iterable[str]) -> None:
        known = [id for id in container_ids if id in self.serves]
        self.serves.difference_update(known)
        for start in range(0, len(known), wire.SERVED_IDS):
            self._send({"forget": known[start : start + wire.SERVED_IDS]})

    async def close(self) -> None:
        """Leave the process to itself; where it serves nothing, see it end."""
        process, self._process = self._process, None
        self._lost = lambda: None
        if process is None:
            return
        with process, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                while self._unsent:
                    await asyncio.sleep(0.01)
                self._leave()
                if not self.serves:
                    await process.ended()
                    _reap(process.pid)
                await asyncio.gather(*self._ending)
        self._leave()

    # --- the connection ----------------------------------------------------------------------

    def _take(self, connection: socket.socket, process: Process) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * wire.MAX_MESSAGE)
        self._connection, self._process = connection, process
        asyncio.get_running_loop().add_reader(connection.fileno(), self._readable)

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(connection.fileno())
        loop.remove_writer(connection.fileno())
        connection.close()
        while self._unsent:
            _close(self._unsent.popleft()[1])

    def _send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """In order. Nothing is kept for a process that has gone: `lost` sees to that."""
        data = json.dumps(message, separators=(",", ":")).encode()
        if self._connection is None:
            _close(fds)
        else:
            self._unsent.append((data, fds))
            self._flush()

    def _flush(self) -> None:
        assert self._connection is not None
        loop = asyncio.get_running_loop()
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                socket.send_fds(self._connection, [data], fds)
            except BlockingIOError:
                loop.add_writer(self._connection.fileno(), self._flush)
                return
            except OSError:
                return  # it has gone; the reader finds out
            self._unsent.popleft()
            _close(fds)
        loop.remove_writer(self._connection.fileno())

    def _readable(self) -> None:
        """It says nothing after its greeting, so this is the greeting, or the end."""
        assert self._connection is not None
        try:
            if self._connection.recv(wire.MAX_MESSAGE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        process, self._process = self._process, None
        self._leave()
        self.serves.clear()
        if process is not None:
            _log.warning("resolver: process %d has gone", process.pid)
            self._end(process)
        self._lost()

    def _end(self, process: Process) -> None:
        """It may have closed the connection alone, or be a child that waits to be reaped."""
        process.kill()
        task = asyncio.get_running_loop().create_task(_ended(process))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _ended(process: Process) -> None:
    with process:
        await process.ended()
        _reap(process.pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # an earlier daemon's
        os.waitpid(pid, os.WNOHANG)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """A socket's address for a path of any length; the kernel takes 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _listener(path: Path) -> socket.socket:
    """What an earlier process left there is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        path.unlink(missing_ok=True)
        with _address(path) as address:
            listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.setblocking(False)
    try:
        with _address(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


async def _greeting(connection: socket.socket) -> dict[str, Any]:
    """What it says of itself; nothing of one that speaks otherwise, or not in time.

    Raises ConnectionError where it has ended.
    """
    loop = asyncio.get_running_loop()
    greeting: dict[str, Any] = {"serves": []}
    try:
        async with asyncio.timeout(_GREETING_S):
            while greeting.get("more", True):
                data = await loop.sock_recv(connection, wire.MAX_MESSAGE)
                if not data:
                    raise ConnectionResetError
                part = json.loads(data)
                if part["protocol"] != wire.PROTOCOL:
                    return {}
                greeting = part | {"serves": greeting["serves"] + part["serves"]}
    except (TimeoutError, ValueError, KeyError, TypeError):
        return {}
    return greeting


def _processes_at(path: Path) -> list[Process]:
    """Every resolver of this path, by its command line."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if _MARK.encode() in argv and os.fsencode(path) in argv:
            process = Process.find(pid, start_ticks(pid))
            if process is not None:
                found.append(process)
    return found
