"""The files of a build, as they are sent: contexts as archives, and the Dockerfile."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stackr.build.context import ignore_of, read_context
from stackr.build.context_tar import archive, size_of
from stackr.build.digests import Digests
from stackr.build.ignore import Ignore
from stackr.build.tree import Tree
from stackr.errors import InvalidArgument
from stackr.runtime.image_build import ImageBuild

__all__ = ["Counted", "Folder", "dockerfile_text", "read_files", "read_folder", "sent", "told_size"]

_BATCH: Final = 1 << 20
_TOLD_BYTES: Final = 100 * 10**6
_IGNORE: Final = ".dockerignore"


class _Unread(Digests):
    """What is sent need not be hashed here."""

    def of(self, path: str, status: os.stat_result, folder: int, name: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A context of this host."""

    root: Path
    tree: Tree


def dockerfile_text(build: ImageBuild) -> str:
    """Raises InvalidArgument, by its path, where it cannot be read."""
    if build.dockerfile_text is not None:
        return build.dockerfile_text
    place = Path(build.context, build.dockerfile)
    try:
        return place.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InvalidArgument(f"{place}: {(error.strerror or str(error)).lower()}") from error


async def read_folder(context: str, dockerfile: str) -> Folder:
    """dockerfile: whose list of what is left out counts."""
    root = Path(context)
    return await read_files(root, await asyncio.to_thread(ignore_of, root, dockerfile))


async def read_files(root: Path, ignore: Ignore) -> Folder:
    """Raises InvalidArgument, with the path, for what cannot be read."""
    return Folder(root, await asyncio.to_thread(read_context, root, ignore, _Unread(None)))


def told_size(folder: Folder) -> str:
    """What is said before a large context is sent, else ""."""
    size = size_of(folder.tree)
    if size <= _TOLD_BYTES:
        return ""
    return (
        f"context {folder.root}: {size / 1e6:.0f} MB in {len(folder.tree.files)} files are sent;"
        " .dockerignore says what is left out"
    )


def sent(folder: Folder, build: ImageBuild | None = None) -> tuple[str, AsyncIterator[bytes]]:
    """The archive, and the Dockerfile's path in it.

    build: where the archive has to bring the Dockerfile; one from elsewhere gets a name that no
    COPY sees, as by the docker command.
    """
    if build is None:
        return "", _batches(archive(folder.root, folder.tree))
    name = os.path.normpath(build.dockerfile)
    if build.dockerfile_text is None and name in folder.tree.files:
        return name, _batches(archive(folder.root, folder.tree))
    text = dockerfile_text(build).encode("utf-8", "surrogateescape")
    name = f".dockerfile.{hashlib.sha256(text).hexdigest()[:20]}"
    added = {name: text, _IGNORE: _ignore_text(folder, name)}
    return name, _batches(archive(folder.root, folder.tree, added))


def _ignore_text(folder: Folder, name: str) -> bytes:
    """The context's own list with the Dockerfile at its end."""
    try:
        return (folder.root / _IGNORE).read_bytes() + f"\n{name}\n".encode()
    except FileNotFoundError:
        return f"{name}\n{_IGNORE}\n".encode()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidArgument(f"build context: {folder.root / _IGNORE}: {why}") from error


class Counted(AsyncIterator[bytes]):
    """Pieces as they are sent. size_bytes: of those so far."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.size_bytes = 0

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self.size_bytes += len(piece)
        return piece


async def _batches(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while batch := await asyncio.to_thread(_batch, pieces):
        yield batch


def _batch(pieces: Iterator[bytes]) -> bytes:
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size >= _BATCH:
            break
    return b"".join(found)
