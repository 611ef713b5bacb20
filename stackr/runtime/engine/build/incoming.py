"""How contexts come in: an archive as a client sends it, or what an address names."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from stackr.build.context import ignore_of, read_context
from stackr.build.digests import Digests
from stackr.build.ignore import ignore_files, parse_ignore
from stackr.build.tree import Tree, parents_of
from stackr.errors import InvalidArgument
from stackr.runtime.engine.build.copy_step import is_archive
from stackr.runtime.engine.build.files import (
    Context,
    FolderContext,
    SpooledContext,
    read_found,
)
from stackr.runtime.engine.build.received import receive
from stackr.runtime.engine.build.remote import fetch_file, fetch_repository, is_git, is_remote

__all__ = ["received_context", "remote_context"]

_MOST_IGNORE_BYTES: Final = 1 << 20
_PIPE_BYTES: Final = 1 << 20
_ASKED_S: Final = 0.5


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
    return await asyncio.to_thread(_without_ignored, context, dockerfile)


async def received_context(archive: AsyncIterator[bytes], folder: Path, dockerfile: str) -> Context:
    """An archive that comes in piece by piece, below `folder`. Raises InvalidArgument."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with suppress(OSError):
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    task = asyncio.create_task(asyncio.to_thread(receive, read, folder / "spool"))
    try:
        await _pour(archive, write, task)
    finally:
        os.close(write)  # the reader comes to an end by it
        await asyncio.shield(asyncio.wait([task]))
        os.close(read)
        failure = task.exception()
    if failure is not None:
        raise failure
    return await asyncio.to_thread(_without_ignored, task.result(), dockerfile)


async def _pour(
    archive: AsyncIterator[bytes], write: int, reader: asyncio.Task[SpooledContext]
) -> None:
    """Until the archive or its reader ends; what follows the archive's end is dropped.

    A reader that has failed does not read any more: its end of the pipe is drained here.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in archive:
        pieces.append(piece)
        size += len(piece)
        if size >= _PIPE_BYTES:
            await _hand_over(write, b"".join(pieces), reader)
            pieces, size = [], 0
    await _hand_over(write, b"".join(pieces), reader)


async def _hand_over(write: int, data: bytes, reader: asyncio.Task[SpooledContext]) -> None:
    """Cancelled, it still waits for the thread, which has the descriptor."""
    writing = asyncio.ensure_future(asyncio.to_thread(_write_all, write, data, reader))
    try:
        await asyncio.shield(writing)
    finally:
        await asyncio.wait([writing])


def _write_all(fd: int, data: bytes, reader: asyncio.Task[SpooledContext]) -> None:
    """The pipe's other end stays open in this process: whether it is read is asked now and then."""
    os.set_blocking(fd, False)
    while data and not reader.done():
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select([], [fd], [], _ASKED_S)


def _without_ignored(context: SpooledContext, dockerfile: str) -> SpooledContext:
    """The client has left these out already, mostly; some do not."""
    files = context.tree.files
    name = next((each for each in ignore_files(dockerfile) if each in files), "")
    found = context.find(name) if name and stat.S_ISREG(files[name].mode) else None
    if found is None:
        return context
    ignore = parse_ignore(read_found(found, _MOST_IGNORE_BYTES + 1))
    if not ignore:
        return context
    kept = {dockerfile, name}
    gone = {path for path in files if path not in kept and ignore.matches(path)}
    alive = {parent for path in files.keys() - gone for parent in parents_of(path)}
    return SpooledContext(context.spool, context.tree.without(gone - alive), context.places)
