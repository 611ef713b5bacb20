"""The spooler process: an archive on standard input, its files under numbers in the current folder.

`index` is JSON: by path, `[number, size, SHA-256]`, or what a link leads to.

Nothing of an archive's own names becomes a name on the disk, so that none can lead anywhere. It is
told by how many files and bytes an archive may have; compression is found out by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from typing import Any, Final

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.decompress import Source, decompressed
from stackr.runtime.engine.archive.process import answer, make_folder_the_root
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, Limits, TarReader

__all__ = ["INDEX", "main"]

INDEX: Final = "index"
_MEMORY_LIMIT: Final = 2 << 30
_LINKS: Final = (tarstream.SYMLINK, tarstream.HARD_LINK)

Found = list[Any] | str


def main(arguments: list[str]) -> None:
    answer(arguments, _spool, memory_bytes=_MEMORY_LIMIT)


def _spool(request: dict[str, Any]) -> dict[str, Any]:
    limits = Limits(**request["limits"])
    pieces = decompressed(Source(0))
    make_folder_the_root()
    reader = TarReader(pieces, limits)
    index: dict[str, Found] = {}
    for number, entry in enumerate(reader):
        path = _path(entry.name)
        if entry.type == tarstream.REGULAR:
            index[path] = _file(reader, number)
        elif entry.type in _LINKS:
            index[path] = _target(path, entry)
        elif entry.type != tarstream.DIRECTORY:
            raise ArchiveError(f"{entry}: is neither a file, nor a folder, nor a link")
    with open(INDEX, "w", encoding="utf-8") as file:
        json.dump(index, file)
    return {"files": len(index)}


def _path(name: bytes) -> str:
    """Raises ArchiveError for one that leads out of the archive, or is no text."""
    try:
        path = posixpath.normpath(name.decode().lstrip("/") or ".")
    except UnicodeDecodeError:
        raise ArchiveError(f"{tarstream.show(name)}: the name is no text") from None
    if path == ".." or path.startswith("../"):
        raise ArchiveError(f"{tarstream.show(name)}: leads out of the archive")
    return path


def _target(path: str, entry: Entry) -> str:
    """What a link means, as a path of the archive."""
    folder = posixpath.dirname(path) if entry.type == tarstream.SYMLINK else ""
    if entry.linkname.startswith(b"/"):
        raise ArchiveError(f"{entry}: links to an absolute path")
    return _path(posixpath.join(folder.encode(), entry.linkname))


def _file(reader: TarReader, number: int) -> list[Any]:
    sha256, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(str(number), flags, 0o600), "wb", buffering=0) as output:
        for piece in reader.data():
            sha256.update(piece)
            view = memoryview(piece)
            while view:
                view = view[output.write(view) :]
            size += len(piece)
    return [number, size, sha256.hexdigest()]
