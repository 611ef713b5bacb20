"""A folder of this host with a build's steps: an OCI layout, sent to an engine and taken from one.

Source: OCI image-spec image-layout.md.
"""

from __future__ import annotations

import asyncio
import os
import re
import tarfile
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from stackr.build.ignore import Ignore
from stackr.errors import InvalidArgument
from stackr.runtime.docker.build.source import Folder, read_files

__all__ = ["INDEX", "read_layout", "write_layout"]

INDEX: Final = "index.json"
_NAME: Final = re.compile(r"oci-layout|index\.json|blobs/sha256/[0-9a-f]{64}")
_PART: Final = ".part-"


async def read_layout(path: str) -> Folder:
    """Raises InvalidArgument for what cannot be read."""
    return await read_files(Path(path), Ignore([f"**/{_PART}*"]))


async def write_layout(chunks: AsyncIterator[bytes], folder: Path) -> None:
    """What an engine sends, into a folder, which is made; its index comes last, and at once.

    Blobs that are there stay. Raises InvalidArgument for what is no layout and where the folder
    cannot be written to; the index is then what it was.
    """
    with tempfile.TemporaryFile() as spool:
        async for chunk in chunks:
            await asyncio.to_thread(spool.write, chunk)
        spool.seek(0)
        try:
            await asyncio.to_thread(_unpack, spool, folder)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InvalidArgument(f"{folder}: cannot be written: {why}") from error
        except tarfile.TarError as error:
            raise InvalidArgument(f"{folder}: the engine has sent no whole archive") from error


def _unpack(spool: IO[bytes], folder: Path) -> None:
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=spool, mode="r:") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is None or not _NAME.fullmatch(member.name):
                raise InvalidArgument(f"{folder}: unexpected in a cache: {member.name[:100]}")
            if member.name.startswith("blobs/") and (folder / member.name).exists():
                continue
            _write(content, folder / member.name)


def _write(content: IO[bytes], place: Path) -> None:
    fd, partial = tempfile.mkstemp(prefix=_PART, dir=place.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            while data := content.read(1 << 20):
                file.write(data)
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, place)
    except BaseException:
        os.unlink(partial)
        raise
