"""The daemon's side of a sidecar: find one that runs, start one, tell it, ask it, replace it.

The process outlives the daemon (`sidecar.py`). It gets its listening socket and a first connection
from the daemon that starts it, so it can be told things before it has come up, and the next daemon
always finds it. Everything here is on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackr.errors import Internal, Unavailable
from stackr.runtime.engine.linux.child import ENVIRONMENT, child_argv
from stackr.runtime.engine.linux.process import Process, start_ticks
from stackr.runtime.engine.linux.sidecar import MAX_FDS, MAX_MESSAGE
from stackr.runtime.engine.roots import make_way

__all__ = ["Answer", "Program", "SidecarClient"]

_log = logging.getLogger(__name__)
_GREETING_S = 10.0
_ANSWER_S = 10.0
_END_S = 3.0
_BACKLOG = 8
_LOG_BYTES = 1 << 20

Answer = tuple[dict[str, Any], list[int]]
"""What it says, and the descriptors beside it, which are the receiver's."""


@dataclass(frozen=True, slots=True)
class Program:
    """name: as errors and `ps` have it; arguments: what its `main` gets beside the sockets."""

    name: str
    module: str
    path: Path
    arguments: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        return f"stackr-{self.name}"


class SidecarClient:
    """lost: called when the process has gone, with all that it had."""

    def __init__(self, program: Program, lost: Callable[[], None]) -> None:
        self._program = program
        self._lost = lost
        self._connection: socket.socket | None = None
        self._process: Process | None = None
        self._outdated: list[Process] = []
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._asked: deque[asyncio.Future[Answer]] = deque()
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def find(self, protocol: int) -> list[Any]:
        """Connect to the process that an earlier daemon has left, if there is one: what it serves.

        One that speaks another protocol, or does not answer, is ended by `end_outdated`.
        """
        connection = _connected(self._program.path)
        if connection is None:
            return []
        try:
            greeting = await _greeting(connection, protocol)
        except ConnectionError:
            connection.close()  # it has just ended
            return []
        pid = greeting.get("pid", 0)
        process = Process.find(pid, start_ticks(pid))
        if process is None:
            connection.close()
            self._outdated = self._processes()
            return []
        self._take(connection, process)
        serves: list[Any] = greeting["serves"]
        return serves

    def start(self) -> None:
        """Start the process, where there is no connection to one. Raises Internal."""
        if self._connection is not None:
            return
        name = self._program.name
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs, _listener(self._program.path) as listener:
                pid = self._spawn(listener, theirs)
        except OSError as error:
            ours.close()
            raise Internal(f"{name}: cannot be started: {error}") from error
        process = Process.find(pid, start_ticks(pid))
        if process is None:
            ours.close()
            raise Internal(f"{name}: it ended while it started")
        self._take(ours, process)

    def _spawn(self, listener: socket.socket, theirs: socket.socket) -> int:
        program = self._program
        log = program.path.with_suffix(".log")
        make_way(log)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            flags |= os.O_TRUNC
        # Whatever else this process starts closes descriptors that are not meant for it.
        for end in (listener, theirs):
            end.set_inheritable(True)
        descriptors = [str(listener.fileno()), str(theirs.fileno())]
        own = [*descriptors, str(program.path), *program.arguments]
        return os.posix_spawn(
            sys.executable,
            child_argv(program.name, program.module, own),
            ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )

    def end_outdated(self) -> None:
        """End those that `find` found unfit, once another has taken their place."""
        outdated, self._outdated = self._outdated, []
        for process in outdated:
            self._end(process)

    async def outdated_ended(self) -> None:
        """Return once those have."""
        await asyncio.gather(*self._ending)

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """In order; the descriptors are closed here.

        Nothing is kept for a process that has gone: `lost` sees to that.
        """
        data = json.dumps(message, separators=(",", ":")).encode()
        if self._connection is None:
            _close(fds)
        else:
            self._unsent.append((data, fds))
            self._flush()

    async def ask(self, message: Mapping[str, Any]) -> Answer:
        """Send, and wait for the answer that there is to such a message.

        Raises Unavailable where the process goes, or is ended as it does not answer in time.
        """
        if self._connection is None:
            raise Unavailable(f"{self._program.name}: does not run")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self.send(message)
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await asyncio.shield(answer)
        except TimeoutError as error:
            if self._process is not None:
                self._process.kill()
            raise Unavailable(f"{self._program.name}: does not answer") from error

    async def close(self, *, is_idle: bool) -> None:
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
                if is_idle:
                    await process.ended()
                    _reap(process.pid)
                await asyncio.gather(*self._ending)
        self._leave()

    # --- the connection ----------------------------------------------------------------------

    def _take(self, connection: socket.socket, process: Process) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_MESSAGE)
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
        while self._asked:
            answer = self._asked.popleft()
            answer.set_exception(Unavailable(f"{self._program.name}: has gone"))
            answer.exception()  # nobody may wait for it any more

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
        """An answer, the end, or the greeting of one that was just started."""
        assert self._connection is not None
        try:
            data, fds, _, _ = socket.recv_fds(self._connection, MAX_MESSAGE, MAX_FDS)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._went()
            return
        message = json.loads(data)
        if "protocol" not in message:
            self._asked.popleft().set_result((message, list(fds)))

    def _went(self) -> None:
        process, self._process = self._process, None
        self._leave()
        if process is not None:
            _log.warning("%s: process %d has gone", self._program.name, process.pid)
            self._end(process)
        self._lost()

    def _end(self, process: Process) -> None:
        """It may have closed the connection alone, or be a child that waits to be reaped."""
        process.kill()
        task = asyncio.get_running_loop().create_task(_ended(process))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _processes(self) -> list[Process]:
        """Every one of this path, by its command line."""
        found = []
        path = os.fsencode(self._program.path)
        for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
            try:
                argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if self._program.mark.encode() in argv and path in argv:
                process = Process.find(pid, start_ticks(pid))
                if process is not None:
                    found.append(process)
        return found


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
        make_way(path, stat.S_ISSOCK)
        path.unlink(missing_ok=True)
        with _address(path) as address:
            listener.bind(address)
        path.chmod(0o600)
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


async def _greeting(connection: socket.socket, protocol: int) -> dict[str, Any]:
    """What it says of itself; nothing of one that speaks otherwise, or not in time.

    Raises ConnectionError where it has ended.
    """
    loop = asyncio.get_running_loop()
    greeting: dict[str, Any] = {"serves": []}
    try:
        async with asyncio.timeout(_GREETING_S):
            while greeting.get("more", True):
                data = await loop.sock_recv(connection, MAX_MESSAGE)
                if not data:
                    raise ConnectionResetError
                part = json.loads(data)
                if part["protocol"] != protocol:
                    return {}
                greeting = part | {"serves": greeting["serves"] + part["serves"]}
    except (TimeoutError, ValueError, KeyError, TypeError):
        return {}
    return greeting
