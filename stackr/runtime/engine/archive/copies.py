"""The daemon's side of a copy: starts the confined process, and passes bytes to and from it.

Nothing of a container's files is looked at here. One process serves one request and ends with it;
it is killed when the client goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from stackr.errors import Internal, InvalidArgument, NotFound, StackrError
from stackr.runtime.engine.archive import program, view
from stackr.runtime.engine.linux.child import ENVIRONMENT, child_argv
from stackr.runtime.engine.linux.launcher_client import (
    Launched,
    Launcher,
    OverlayTarget,
    kill_launched,
)

__all__ = ["Bind", "Copies", "Extraction", "PathStat", "View"]

_CHUNK: Final = 1 << 18
_PIPE_BYTES: Final = 1 << 20
_MOST_PATH: Final = 4096
_LINE_LIMIT: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host that the view has at `target`, an absolute path in it.

    subpath: of what is below `source` that very path alone, which must not lead out; "" for all.
    """

    source: str
    target: str
    subpath: str = ""
    read_only: bool = False
    recursive: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """What the process sees as its root.

    namespace: a descriptor of the mount namespace to begin with; None for the host's.
    overlay: what to mount first, at `root`. root: a mount point in the namespace that becomes the
    root; "" for the namespace's own. read_only: the root, not what is mounted in it.
    """

    namespace: int | None = None
    overlay: OverlayTarget | None = None
    root: str = ""
    binds: Sequence[Bind] = ()
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class PathStat:
    """mode: as stat(2) has it. link_target: where a symlink leads in the end, "" for others."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link_target: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """How an archive is written; see `PutContainerArchive` of the Engine API.

    owner: (uid, gid) of all that is written, None for the archive's own.
    mounts: (target, is writable) of the container's mounts; read_only: its root file system.
    keep_kinds: a folder is not replaced by something else, nor the other way round.
    """

    owner: tuple[int, int] | None = None
    keep_kinds: bool = False
    read_only: bool = False
    mounts: Sequence[tuple[str, bool]] = field(default=())


class Copies:
    """Every method raises NotFound for a path that does not exist, InvalidArgument for others."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    async def stat(self, seen: View, path: str, *, where: str) -> PathStat:
        """What is at a path, a symlink itself. where: the container, for messages."""
        async with self._process(seen, _request("stat", path), {}, where) as answers:
            return await answers.stat()

    @asynccontextmanager
    async def pack(
        self,
        seen: View,
        path: str,
        *,
        where: str,
        started: Callable[[Launched], None],
        content: bool = False,
    ) -> AsyncIterator[tuple[PathStat, AsyncGenerator[bytes, None]]]:
        """What is at a path, and an archive of it in chunks, which raise what goes wrong.

        content: of what is in the folder there, without the folder itself.
        """
        request = _request("pack", path, content=content)
        reader, writer = _pipe()
        async with AsyncExitStack() as stack:
            stack.callback(os.close, reader)
            close_writer = stack.enter_context(_Closing(writer))
            answers = await stack.enter_async_context(
                self._process(seen, request, {1: writer}, where, started)
            )
            close_writer()
            stat = await answers.stat()
            yield stat, _chunks(reader, answers)

    async def extract(
        self,
        seen: View,
        path: str,
        archive: AsyncIterator[bytes],
        how: Extraction,
        *,
        where: str,
        started: Callable[[Launched], None],
    ) -> None:
        """Write an archive, plain or compressed, into the folder at a path."""
        request = _request("extract", path, **asdict(how))
        reader, writer = _pipe()
        async with AsyncExitStack() as stack:
            close_writer = stack.enter_context(_Closing(writer))
            close_reader = stack.enter_context(_Closing(reader))
            answers = await stack.enter_async_context(
                self._process(seen, request, {0: reader}, where, started)
            )
            close_reader()
            os.set_blocking(writer, False)
            with contextlib.suppress(BrokenPipeError):  # it has refused already
                async for chunk in archive:
                    await _write(writer, chunk)
            close_writer()
            await answers.end()

    @asynccontextmanager
    async def _process(
        self,
        seen: View,
        request: dict[str, Any],
        fds: dict[int, int],
        where: str,
        started: Callable[[Launched], None] | None = None,
    ) -> AsyncIterator[_Answers]:
        """The process of a request, which ends with the block."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                ours.setblocking(False)
                passed = {**fds, program.CONTROL_FD: theirs.fileno()}
                if seen.namespace is not None:
                    passed[view.NAMESPACE_FD] = seen.namespace
                launched = await self._launcher.spawn(
                    child_argv("copy", program.__name__),
                    fds=passed,
                    env=ENVIRONMENT,
                    overlays=() if seen.overlay is None else (seen.overlay,),
                )
            if started is not None:
                started(launched)
            try:
                request["view"] = {
                    "joins": seen.namespace is not None,
                    "root": seen.root,
                    "binds": [asdict(bind) for bind in seen.binds],
                    "read_only": seen.read_only,
                }
                data = json.dumps(request).encode() + b"\n"
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    await asyncio.get_running_loop().sock_sendall(ours, data)
                yield _Answers(ours, launched, where)
            finally:
                await asyncio.shield(kill_launched(launched))


class _Answers:
    """The JSON lines that a process answers with."""

    def __init__(self, control: socket.socket, launched: Launched, where: str) -> None:
        self._control = control
        self._launched = launched
        self._where = where
        self._data = b""

    async def stat(self) -> PathStat:
        return PathStat(**(await self._line())["stat"])

    async def end(self) -> None:
        """Wait until all is done."""
        while "done" not in await self._line():
            pass

    async def _line(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        while b"\n" not in self._data:
            try:
                data = await loop.sock_recv(self._control, _LINE_LIMIT)
            except ConnectionResetError:
                data = b""
            if not data or len(self._data) > _LINE_LIMIT:
                exit_code = await self._launched.ended
                raise Internal(f"copy: the process ended early: exit code {exit_code}")
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise self._error(*answer["error"])
        return answer

    def _error(self, kind: str, message: str) -> StackrError:
        if kind == "missing":
            return NotFound(f"Could not find the file {message} in container {self._where}")
        return InvalidArgument(message) if kind == "invalid" else Internal(message)


class _Closing:
    """A descriptor that is closed at the end of a block, or before by a call."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> _Closing:
        return self

    def __call__(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __exit__(self, *_: object) -> None:
        self()


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # beyond what the user's pipes may take together
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader, writer


def _request(verb: str, path: str, **settings: Any) -> dict[str, Any]:
    if "\0" in path:
        raise InvalidArgument("invalid path: it holds a NUL character")
    if len(os.fsencode(path)) > _MOST_PATH:
        raise InvalidArgument(f"{path[:100]}...: file name too long")
    return {"verb": verb, "path": path, **settings}


async def _chunks(fd: int, answers: _Answers) -> AsyncGenerator[bytes, None]:
    os.set_blocking(fd, False)
    while True:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            await _ready(fd, asyncio.get_running_loop().add_reader, "remove_reader")
            continue
        if not chunk:
            break
        yield chunk
    await answers.end()


async def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            await _ready(fd, asyncio.get_running_loop().add_writer, "remove_writer")


async def _ready(fd: int, add: Callable[..., None], remove: str) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add(fd, _resolve, ready)
    try:
        await ready
    finally:
        getattr(loop, remove)(fd)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
