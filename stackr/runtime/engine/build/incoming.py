"""How contexts come in: an archive as a client sends it, or what an address names."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from stackr.build.address import is_git, is_remote
from stackr.build.context import ignore_of, read_context
from stackr.build.digests import Digests
from stackr.build.ignore import parse_ignore
from stackr.build.tree import File, Tree
from stackr.errors import Internal, InvalidArgument
from stackr.runtime.engine.build import receiver
from stackr.runtime.engine.build.copy_step import is_archive
from stackr.runtime.engine.build.files import (
    Context,
    FolderContext,
    Place,
    SpooledContext,
    read_found,
)
from stackr.runtime.engine.build.received import receive
from stackr.runtime.engine.build.remote import fetch_file, fetch_repository
from stackr.runtime.engine.linux.child import run_child

__all__ = ["received_context", "remote_context"]

_MOST_IGNORE_BYTES: Final = 1 << 20
_IGNORE_FILE: Final = ".dockerignore"
_SO_SNDBUFFORCE: Final = 32
_SENT_BYTES: Final = 4 << 20
"""What is under way to the process: on a busy machine each of its turns should be worth it."""
_SMALL_BYTES: Final = 1 << 20
"""Up to here a thread reads a context: a process takes 40 ms to start."""


async def remote_context(address: str, folder: Path, dockerfile: str) -> Context:
    """What an address names, below `folder`. A file that is no archive is the Dockerfile.

    Raises InvalidArgument, NotSupported, Unavailable.
    """
    if not is_remote(address):
        raise InvalidArgument(f"remote: {address}: is neither a repository nor an http(s) address")
    if is_git(address):
        root = (await fetch_repository(address, folder / "git")).context.folder()
        ignore = await asyncio.to_thread(ignore_of, root, dockerfile)
        return FolderContext(
            root, await asyncio.to_thread(read_context, root, ignore, Digests(None))
        )
    fetched = await fetch_file(address, folder / "file")
    name, file = next(iter(fetched.context.tree.files.items()))
    found = fetched.context.find(name)
    assert found is not None
    if not await asyncio.to_thread(is_archive, found):
        root = folder / "dockerfile"
        root.mkdir()
        os.rename(found.place, root / "Dockerfile")
        return FolderContext(root, Tree.of({"Dockerfile": file}))
    with open(found.place, "rb") as archive:
        context = await asyncio.to_thread(receive, archive.fileno(), folder / "spool")
    return await asyncio.to_thread(_without_own, context, dockerfile)


async def received_context(archive: AsyncIterator[bytes], folder: Path, dockerfile: str) -> Context:
    """An archive that comes in piece by piece, below `folder`. Raises InvalidArgument."""
    first, is_all = await _start_of(archive)
    if is_all:
        context = await asyncio.to_thread(_received_whole, first, folder / "spool")
    else:
        context = await _received_by_child(first, archive, folder)
    return await asyncio.to_thread(_without_own, context, dockerfile)


async def _start_of(archive: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The first bytes, and whether they are all."""
    pieces, size = [], 0
    async for piece in archive:
        pieces.append(piece)
        size += len(piece)
        if size > _SMALL_BYTES:
            return b"".join(pieces), False
    return b"".join(pieces), True


def _received_whole(data: bytes, spool: Path) -> SpooledContext:
    fd = os.memfd_create("context")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
        return receive(fd, spool)
    finally:
        os.close(fd)


async def _received_by_child(
    first: bytes, archive: AsyncIterator[bytes], folder: Path
) -> SpooledContext:
    """A process reads the archive; here it is only handed on."""
    spool, index, jail = folder / "spool", folder / "index", folder / "empty"
    jail.mkdir(mode=0o700)
    ours, theirs = socket.socketpair()
    with ours, spool.open("xb") as content, index.open("xb") as found:
        fds = (content.fileno(), found.fileno())
        request = {"spool": fds[0], "index": fds[1]}
        with theirs:  # which the process alone has then: its end is that of what is sent to it
            child = asyncio.ensure_future(
                run_child(
                    "context-receiver",
                    receiver.__name__,
                    request,
                    folder=jail,
                    stdin=theirs.fileno(),
                    kept=fds,
                )
            )
            await asyncio.sleep(0)
        try:
            await _hand_over(first, archive, ours, child)
            answer = await child
        finally:
            child.cancel()
            await asyncio.gather(child, return_exceptions=True)
    if "failure" in answer:
        raise Internal(f"build context: {answer['failure']}")
    if "error" in answer:
        raise InvalidArgument(f"build context: {answer['error']}")
    return await asyncio.to_thread(_indexed, spool, index)


async def _hand_over(
    first: bytes, archive: AsyncIterator[bytes], ours: socket.socket, child: asyncio.Future[Any]
) -> None:
    """To the end of the archive; what comes after the process has ended is dropped."""
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    pieces, size, is_wanted = [first], len(first), True
    async for piece in archive:
        pieces.append(piece)
        size += len(piece)
        if size >= _SENT_BYTES // 4:
            is_wanted = is_wanted and not child.done() and await _sent(loop, ours, pieces)
            pieces, size = [], 0
    if is_wanted:
        await _sent(loop, ours, pieces)
    with suppress(OSError):  # the process has ended
        ours.shutdown(socket.SHUT_WR)


async def _sent(
    loop: asyncio.AbstractEventLoop, ours: socket.socket, pieces: Sequence[bytes]
) -> bool:
    try:
        await loop.sock_sendall(ours, b"".join(pieces))
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _indexed(spool: Path, index: Path) -> SpooledContext:
    files: dict[str, File] = {}
    places: dict[str, Place] = {}
    text = index.read_text(encoding="utf-8", errors="surrogateescape")
    for path, (mode, digest, size, *place) in json.loads(text).items():
        files[path] = File(mode, digest, size)
        places[path] = Place(*place)
    tree = Tree.of(files)
    return SpooledContext(spool, tree, tree, places)


def _without_own(context: SpooledContext, dockerfile: str) -> SpooledContext:
    """No step sees the Dockerfile and the list itself where the list names them.

    Everything else that it names was left out by the client, which has to send these two. Source:
    moby/moby, builder/remotecontext/detect.go.
    """
    found = context.find(_IGNORE_FILE)
    if found is None or not stat.S_ISREG(found.mode):
        return context
    ignore = parse_ignore(read_found(found, _MOST_IGNORE_BYTES + 1))
    path = context.tree.resolve(dockerfile)
    gone = {each for each in (_IGNORE_FILE, path) if each and ignore.matches(each)}
    return replace(context, tree=context.whole.without(gone))
