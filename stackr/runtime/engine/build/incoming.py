"""How contexts come in: an archive as a client sends it, or what an address names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from stackr.build.context import ignore_of, read_context
from stackr.build.digests import Digests
from stackr.build.ignore import ignore_files, parse_ignore
from stackr.build.tree import Tree
from stackr.errors import InvalidArgument
from stackr.runtime.engine.build.copy_step import is_archive
from stackr.runtime.engine.build.received import receive
from stackr.runtime.engine.build.remote import fetch_file, fetch_repository, is_git, is_remote
from stackr.runtime.engine.build.request import Context

__all__ = ["received_context", "remote_context"]

_MOST_IGNORE_BYTES: Final = 1 << 20


async def remote_context(address: str, folder: Path, dockerfile: str) -> Context:
    """What an address names, below `folder`. A file that is no archive is the Dockerfile.

    Raises InvalidArgument, NotSupported, Unavailable.
    """
    if not is_remote(address):
        raise InvalidArgument(f"remote: {address}: is neither a repository nor an http(s) address")
    if is_git(address):
        fetched = await fetch_repository(address, folder / "git")
        root = fetched.context.root
        ignore = await asyncio.to_thread(ignore_of, root, dockerfile)
        tree = await asyncio.to_thread(read_context, root, ignore, Digests(None))
        return Context(root, tree)
    fetched = await fetch_file(address, folder / "file")
    name, file = next(iter(fetched.context.tree.files.items()))
    place = fetched.context.root / name
    root = folder / "files"
    root.mkdir(mode=0o755)
    if not await asyncio.to_thread(is_archive, str(place)):
        os.rename(place, root / "Dockerfile")
        return Context(root, Tree.of({"Dockerfile": file}))
    with place.open("rb") as archive:
        context = await asyncio.to_thread(receive, archive.fileno(), root)
    return await asyncio.to_thread(_without_ignored, context, dockerfile)


async def received_context(archive: AsyncIterator[bytes], folder: Path, dockerfile: str) -> Context:
    read, write = os.pipe2(os.O_CLOEXEC)
    root = folder / "files"
    root.mkdir(mode=0o755)
    with ExitStack() as ends:
        ends.callback(os.close, read)
        task = asyncio.create_task(asyncio.to_thread(receive, read, root))
        try:
            await _pour(archive, write, task)
        finally:
            os.close(write)
            with suppress(BaseException):
                await asyncio.shield(asyncio.wait([task]))
        context = await task
    return await asyncio.to_thread(_without_ignored, context, dockerfile)


async def _pour(archive: AsyncIterator[bytes], write: int, reader: asyncio.Task[Context]) -> None:
    """Until the archive or its reader ends; what follows the archive's end is dropped."""
    async for piece in archive:
        if not reader.done():
            await asyncio.to_thread(_write_all, write, piece)


def _write_all(fd: int, data: bytes) -> None:
    with suppress(BrokenPipeError):
        while data:
            data = data[os.write(fd, data) :]


def _without_ignored(context: Context, dockerfile: str) -> Context:
    """The client has left these out already, mostly; some do not. The files go as well."""
    files = context.tree.files
    name = next((each for each in ignore_files(dockerfile) if each in files), "")
    if not name or context.tree.is_folder(name) or files[name].is_link:
        return context
    ignore = parse_ignore((context.root / name).read_bytes()[: _MOST_IGNORE_BYTES + 1])
    if not ignore:
        return context
    kept = {dockerfile, name}
    gone = [path for path in files if path not in kept and ignore.matches(path)]
    alive = {parent for path in files.keys() - set(gone) for parent in _above(path)}
    gone = [path for path in gone if path not in alive]
    for path in sorted(gone, reverse=True):
        with suppress(FileNotFoundError):
            place = context.root / path
            place.rmdir() if files[path].is_folder else place.unlink()
    return Context(context.root, context.tree.without(gone))


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
