"""The daemon's side of the launcher: start a program in a mount namespace of its own, wait for it.

The launcher is started when first needed, and again after it has died; the programs that it started
live on, and what was waiting for one of them gets `Unavailable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stackr.errors import DeadlineExceeded, Internal, InvalidArgument, StackrError, Unavailable
from stackr.runtime.engine.linux import launcher
from stackr.runtime.engine.linux.child import ENVIRONMENT, child_argv
from stackr.runtime.engine.linux.subpath import subpath_failure

__all__ = [
    "Borrowed",
    "Completed",
    "DeviceTarget",
    "Launched",
    "Launcher",
    "OverlayTarget",
    "Part",
    "SharedTarget",
]

_OUTPUT_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class OverlayTarget:
    """An overlay to mount before the program starts; `options` may name paths below `base_dir`."""

    base_dir: str
    options: str
    target: str


@dataclass(frozen=True, slots=True)
class Part:
    """What is at `path` below `root` when the program starts, to be mounted at `target`.

    The launcher makes the target, a file or a folder. No symlink leads out of the root; as_root: an
    absolute one starts there, as after a change of root, and is refused otherwise.
    """

    root: str
    path: str
    target: str
    as_root: bool = False
    recursive: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Borrowed:
    """What is at `path` in another mount namespace, to be mounted at `target`.

    namespace: its path, such as /proc/PID/ns/mnt.
    """

    namespace: str
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class SharedTarget:
    """A path of the host, whose mounts the program's and the host's are to be the same below."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class DeviceTarget:
    """A file system to mount at `target`; flags, data: as mount(2) takes them.

    lenders: mount namespaces that may have it already, and where, as `Borrowed` has them: it is
    taken from the first that does. failure: what is said, before the cause, where it fails.
    """

    fstype: str
    source: str
    flags: int
    data: str
    target: str
    lenders: Sequence[tuple[str, str]] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """exit_code: the program's, or 128 + signal; output: what it wrote, at most 1 MiB."""

    exit_code: int
    output: str


class Launched:
    """A program on its way: `started` gives its pid, `ended` its exit code."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        for future in (self.started, self.ended):
            future.add_done_callback(_retrieve)

    def fail(self, error: Exception) -> None:
        for future in (self.started, self.ended):
            if not future.done():
                future.set_exception(error)


def _retrieve(future: asyncio.Future[int]) -> None:
    """An error nobody waits for is no error."""
    if not future.cancelled():
        future.exception()


class Launcher:
    """Starts programs through the launcher process; every method runs on the event loop.

    hide: mount points that the programs must not see.
    """

    def __init__(self, hide: Sequence[str] = ()) -> None:
        self.hide = tuple(hide)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._pending: dict[int, Launched] = {}
        self._next_id = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def open(self) -> None:
        """Start the launcher process. Raises Unavailable."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * launcher.MAX_MESSAGE)
            try:
                self._process = subprocess.Popen(
                    child_argv("launcher", launcher.__name__, [str(theirs.fileno())]),
                    env=ENVIRONMENT,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise Unavailable(f"launcher: cannot be started: {error.strerror}") from error
        ours.setblocking(False)
        self._connection = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._readable, ours)

    async def close(self) -> None:
        """End the launcher process; what it started goes on."""
        process, self._process = self._process, None
        self._disconnect("the launcher is closed")
        if process is not None:
            await asyncio.to_thread(process.wait)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        fds: Mapping[int, int] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | str = "/",
        overlays: Sequence[OverlayTarget] = (),
        devices: Sequence[DeviceTarget] = (),
        parts: Sequence[Part] = (),
        borrowed: Sequence[Borrowed] = (),
        shared: Sequence[SharedTarget] = (),
        tty: bool = False,
        oom_score_adj: int | None = None,
        sealed: bool = False,
    ) -> Launched:
        """Start `argv` (an absolute path first); what fails is InvalidArgument for a part or a
        device.

        fds: the program's descriptor -> one of ours, which stays open here; 0, 1 and 2 are
        /dev/null where they are not named. tty: descriptor 0 becomes the controlling terminal.
        oom_score_adj: None to leave it as the launcher's. sealed: from a copy in memory, see
        `SealedPrograms`.
        """
        if self._connection is None:
            self.open()
        assert self._connection is not None
        self._next_id += 1
        id, launched, passed = self._next_id, Launched(), dict(fds or {})
        request = {
            "id": id,
            "argv": list(argv),
            "sealed": sealed,
            "env": dict(env if env is not None else {"PATH": os.defpath}),
            "cwd": str(cwd),
            "fds": list(passed),
            "tty": tty,
            "oom_score_adj": oom_score_adj,
            "hide": self.hide,
            "shared": [asdict(mount) for mount in shared],
            "borrowed": [asdict(tree) for tree in borrowed],
            "overlays": [asdict(overlay) for overlay in overlays],
            "devices": [asdict(device) for device in devices],
            "parts": [asdict(part) for part in parts],
        }
        data = json.dumps(request).encode()
        if len(data) > launcher.MAX_MESSAGE:
            raise Internal(f"{argv[0]}: cannot be started: the request has {len(data)} bytes")
        self._pending[id] = launched
        try:
            await self._send(self._connection, data, list(passed.values()))
        except OSError as error:
            self._pending.pop(id, None)
            self._disconnect(str(error))
            raise Unavailable(f"launcher: cannot be reached: {error}") from error
        return launched

    async def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str = "/",
        timeout_s: float = 60.0,
        sealed: bool = False,
    ) -> Completed:
        """Run `argv` to its end and read what it writes to either stream.

        Raises DeadlineExceeded after `timeout_s`; the program is then killed.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                fds = {1: writer, 2: writer}
                launched = await self.spawn(argv, fds=fds, env=env, cwd=cwd, sealed=sealed)
            finally:
                os.close(writer)
            output = asyncio.get_running_loop().create_task(read_to_end(reader))
            try:
                async with asyncio.timeout(timeout_s):
                    exit_code = await asyncio.shield(launched.ended)
                    return Completed(exit_code, (await output).decode(errors="replace"))
            except TimeoutError as error:
                await kill_launched(launched)
                raise DeadlineExceeded(f"{argv[0]}: did not end within {timeout_s:g} s") from error
            finally:
                output.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await output
        finally:
            os.close(reader)

    async def _send(self, connection: socket.socket, data: bytes, fds: list[int]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                socket.send_fds(connection, [data], fds)
                return
            except BlockingIOError:
                writable = loop.create_future()
                loop.add_writer(connection.fileno(), _resolve, writable)
                try:
                    await writable
                finally:
                    loop.remove_writer(connection.fileno())

    def _readable(self, connection: socket.socket) -> None:
        while True:
            try:
                data = connection.recv(launcher.MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError as error:
                self._disconnect(str(error))
                return
            if not data:
                self._disconnect("it has ended")
                return
            self._answer(json.loads(data))

    def _answer(self, message: dict[str, Any]) -> None:
        id = int(str(message["id"]))
        launched = self._pending.get(id)
        if launched is None:
            return
        if "error" in message:
            launched.fail(_failure(message))
        elif "pid" in message and not launched.started.done():
            launched.started.set_result(int(str(message["pid"])))
        elif "exit" in message:
            del self._pending[id]
            if not launched.ended.done():
                launched.ended.set_result(int(str(message["exit"])))

    def _disconnect(self, why: str) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        asyncio.get_running_loop().remove_reader(connection.fileno())
        connection.close()
        pending, self._pending = self._pending, {}
        for launched in pending.values():
            launched.fail(Unavailable(f"launcher: connection lost: {why}"))
        if self._process is not None:
            self._process.poll()


def _failure(message: dict[str, Any]) -> StackrError:
    if "device" in message:
        return InvalidArgument(message["error"])
    if "part" not in message:
        return Internal(f"launcher: {message['error']}")
    part = message["part"]
    return InvalidArgument(subpath_failure(part["root"], part["path"], message["errno"]))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def kill_launched(launched: Launched) -> None:
    """End a program that runs too long, and wait until it has."""
    with contextlib.suppress(Unavailable, Internal, ProcessLookupError):
        pid = await launched.started
        if not launched.ended.done():
            os.kill(pid, 9)
        await launched.ended


async def read_to_end(fd: int, limit: int = _OUTPUT_LIMIT) -> bytes:
    """What comes out of a pipe until its last writer closes it; at most `limit` bytes."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            readable = loop.create_future()
            loop.add_reader(fd, _resolve, readable)
            try:
                await readable
            finally:
                loop.remove_reader(fd)
            continue
        if not chunk:
            return b"".join(chunks)
        if size < limit:
            chunks.append(chunk[: limit - size])
            size += len(chunk)


async def read_line(fd: int) -> bytes:
    """The first line that comes out of a pipe; b"" where its writers close it without one."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    data = b""
    while not data.endswith(b"\n"):
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            readable = loop.create_future()
            loop.add_reader(fd, _resolve, readable)
            try:
                await readable
            finally:
                loop.remove_reader(fd)
            continue
        if not chunk:
            break
        data += chunk
    return data
