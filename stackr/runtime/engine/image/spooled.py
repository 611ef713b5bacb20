"""An archive of images as it came in: its files, by their paths in it, in a folder of our own.

A process of its own reads it (`archive/spooler.py`); here its bytes are only handed on.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from stackr.errors import Internal, InvalidArgument
from stackr.registry.digest import digest_of
from stackr.runtime.engine.archive import spooler
from stackr.runtime.engine.archive.tarstream import Limits
from stackr.runtime.engine.linux.child import run_child
from stackr.text import parse_json

__all__ = ["File", "Spooled", "spool"]

_LIMITS: Final = Limits(entries=100_000)
_SENT_BYTES: Final = 1 << 20
_MOST_LINKS: Final = 8
_MOST_JSON_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A file of the archive, where it lies now."""

    path: Path
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Spooled:
    """files: by path; a link is the path that it leads to."""

    files: Mapping[str, File | str]

    def find(self, path: str) -> File | None:
        """Links are followed, within the archive."""
        found = self.files.get(path)
        for _ in range(_MOST_LINKS):
            if not isinstance(found, str):
                return found
            found = self.files.get(found)
        return None

    def file(self, path: str) -> File:
        """Raises InvalidArgument where there is none."""
        found = self.find(path)
        if found is None:
            raise InvalidArgument(f"archive: {path}: no such file")
        return found

    def blob(self, digest: str) -> File:
        """A blob of an OCI layout, verified. Raises InvalidArgument."""
        algorithm, _, name = digest.partition(":")
        found = self.file(f"blobs/{algorithm}/{name}")
        if found.digest != digest:
            raise InvalidArgument(f"archive: blob {digest}: digest mismatch: got {found.digest}")
        return found

    def read(self, file: File, what: str) -> bytes:
        """A small file, whole; blocking. Raises InvalidArgument."""
        if file.size_bytes > _MOST_JSON_BYTES:
            raise InvalidArgument(f"archive: {what}: larger than {_MOST_JSON_BYTES} bytes")
        data = file.path.read_bytes()
        if digest_of(data) != file.digest:
            raise Internal(f"archive: {what}: was changed on the disk")
        return data

    def json(self, path: str) -> Any:
        """Blocking. Raises InvalidArgument."""
        try:
            return parse_json(self.read(self.file(path), path))
        except ValueError as error:
            raise InvalidArgument(f"archive: {path}: is not JSON: {error}") from error


async def spool(archive: AsyncIterator[bytes], folder: Path) -> Spooled:
    """Take an archive in, below an empty folder.

    Raises InvalidArgument for one that is damaged or hostile, Internal for a full disk.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            request = {"limits": asdict(_LIMITS)}
            child = asyncio.ensure_future(
                run_child(
                    "spooler", spooler.__name__, request, folder=folder, stdin=theirs.fileno()
                )
            )
            await asyncio.sleep(0)
        try:
            await _hand_over(archive, ours, child)
            answer = await child
        finally:
            child.cancel()
            await asyncio.gather(child, return_exceptions=True)
    if "failure" in answer:
        raise Internal(f"archive: cannot be stored: {answer['failure']}")
    if "error" in answer:
        raise InvalidArgument(f"archive: {answer['error']}")
    return await asyncio.to_thread(_indexed, folder)


async def _hand_over(
    archive: AsyncIterator[bytes], ours: socket.socket, child: asyncio.Future[Any]
) -> None:
    """To the end of the archive; what comes after the process has ended is dropped."""
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    pending = bytearray()
    async for piece in archive:
        pending += piece
        if len(pending) >= _SENT_BYTES:
            full, pending = pending, bytearray()
            if not child.done():
                with suppress(BrokenPipeError, ConnectionResetError):
                    await loop.sock_sendall(ours, full)
    with suppress(BrokenPipeError, ConnectionResetError):
        await loop.sock_sendall(ours, pending)
    with suppress(OSError):
        ours.shutdown(socket.SHUT_WR)


def _indexed(folder: Path) -> Spooled:
    index = json.loads((folder / spooler.INDEX).read_bytes())
    return Spooled(
        {
            path: found
            if isinstance(found, str)
            else File(folder / str(found[0]), found[1], f"sha256:{found[2]}")
            for path, found in index.items()
        }
    )
