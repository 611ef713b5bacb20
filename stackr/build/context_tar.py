"""A context's tree as a tar archive, piece by piece: what a builder elsewhere is sent.

Sorted, and owned by root, so that the same files make the same archive. A file is read as it is
when its turn comes; one that has another size than its header says by then ends the archive.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from stackr.build.tree import Tree
from stackr.errors import InvalidArgument

__all__ = ["archive", "size_of"]

_CHUNK: Final = 1 << 18
_BLOCK: Final = 512
_TYPES: Final = {
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
}


def size_of(tree: Tree) -> int:
    """Bytes of all its files."""
    return sum(file.size for file in tree.files.values())


def archive(root: Path, tree: Tree, added: Mapping[str, bytes] | None = None) -> Iterator[bytes]:
    """Blocking. added: files that are put in the place of the tree's own, by path.

    Raises InvalidArgument for a device, and for what cannot be read or changes meanwhile.
    """
    added = added or {}
    first: dict[tuple[int, int], str] = {}
    for path in sorted(tree.files.keys() - added.keys()):
        yield from _member(root, path, first)
    for path, data in sorted(added.items()):
        yield _header(path, tarfile.REGTYPE, 0o644, 0, len(data)) + data + _padding(len(data))
    yield bytes(2 * _BLOCK)


def _member(root: Path, path: str, first: dict[tuple[int, int], str]) -> Iterator[bytes]:
    """first: of files with several names, the one that was sent."""
    place = root / path
    try:
        status = place.lstat()
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            raise InvalidArgument(f"build context: {place}: a device cannot be sent")
        mode, time = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        if kind != tarfile.REGTYPE:
            link = os.readlink(place) if kind == tarfile.SYMTYPE else ""
            yield _header(path, kind, mode, time, 0, link)
            return
        inode = (status.st_dev, status.st_ino)
        if inode in first:
            yield _header(path, tarfile.LNKTYPE, mode, time, 0, first[inode])
            return
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            size = os.fstat(fd).st_size
            if status.st_nlink > 1:
                first[inode] = path
            yield _header(path, kind, mode, time, size)
            left = size
            while left and (data := file.read(min(left, _CHUNK))):
                left -= len(data)
                yield data
    except FileNotFoundError:
        return  # it was not there
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidArgument(f"build context: {place}: {why}") from error
    if left:
        raise InvalidArgument(f"build context: {place}: became smaller while it was sent")
    yield _padding(size)


def _header(path: str, kind: bytes, mode: int, time: int, size: int, link: str = "") -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode, time, size, link
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
