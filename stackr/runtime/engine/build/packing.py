"""The files of a COPY or ADD as a tar archive with the names that they get in the image."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from stackr.errors import InvalidArgument
from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.pack import header
from stackr.runtime.engine.build.files import Found

__all__ = ["Item", "Mode", "archive_of", "parse_mode"]

_PIECE: Final = 1 << 20
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KEPT_XATTRS: Final = ("security.capability", "user.", "system.posix_acl_")
_TYPES: Final = {
    stat.S_IFREG: tarstream.REGULAR,
    stat.S_IFDIR: tarstream.DIRECTORY,
    stat.S_IFLNK: tarstream.SYMLINK,
    stat.S_IFCHR: tarstream.CHAR_DEVICE,
    stat.S_IFBLK: tarstream.BLOCK_DEVICE,
    stat.S_IFIFO: tarstream.FIFO,
}
_OCTAL: Final = re.compile(r"[0-7]{3,4}")
_CLAUSE: Final = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")

Mode = Callable[[int], int]
"""New permissions of a file by its `st_mode`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One member. name: relative to the image's root. found: what it is; `data` where that has no
    place. inode: the same for those that are to be one file with several names.
    """

    name: str
    found: Found
    data: bytes = b""
    inode: tuple[int, ...] | None = None


class _Status(NamedTuple):
    st_mode: int
    st_uid: int
    st_gid: int
    st_mtime_ns: int
    st_rdev: int = 0


def archive_of(items: Iterable[Item]) -> Iterator[bytes]:
    """The archive, in pieces. Blocking. Raises InvalidArgument for a file that is gone, OSError."""
    buffer = bytearray()
    names: dict[tuple[int, ...], str] = {}
    for item in items:
        first = item.name if item.inode is None else names.setdefault(item.inode, item.name)
        for piece in _member(item) if first == item.name else _link(item, first):
            buffer += piece
            if len(buffer) >= _PIECE:
                yield bytes(buffer)
                buffer.clear()
    buffer += bytes(2 * tarstream.BLOCK)
    yield bytes(buffer)


def _member(item: Item) -> Iterator[bytes]:
    found = item.found
    kind = _TYPES.get(stat.S_IFMT(found.mode))
    if kind is None:
        return  # a socket
    name = os.fsencode(item.name)
    status = _Status(found.mode, *found.owner, found.mtime_ns)
    xattrs = dict(found.xattrs)
    if kind == tarstream.DIRECTORY:
        yield header(name + b"/", status, kind, xattrs=xattrs)
    elif kind == tarstream.SYMLINK:
        yield header(name, status, kind, link=os.fsencode(found.target))
    elif kind != tarstream.REGULAR:
        yield header(name, status, kind)
    elif not found.place:
        yield header(name, status, kind, size=len(item.data))
        yield item.data + bytes(-len(item.data) % tarstream.BLOCK)
    else:
        yield header(name, status, kind, size=found.size, xattrs=xattrs)
        yield from _content(item)
        yield bytes(-found.size % tarstream.BLOCK)


def _link(item: Item, first: str) -> Iterator[bytes]:
    found = item.found
    status = _Status(found.mode, *found.owner, found.mtime_ns)
    yield header(os.fsencode(item.name), status, tarstream.HARD_LINK, link=os.fsencode(first))


def _content(item: Item) -> Iterator[bytes]:
    found = item.found
    try:
        fd = os.open(found.place, _OPEN)
    except FileNotFoundError:
        raise InvalidArgument(f"{item.name}: vanished while it was copied") from None
    try:
        offset, end = found.offset, found.offset + found.size
        while offset < end:
            data = os.pread(fd, min(_PIECE, end - offset), offset)
            if not data:
                raise InvalidArgument(f"{item.name}: has shrunk while it was copied")
            yield data
            offset += len(data)
    finally:
        os.close(fd)


def xattrs_of(place: str) -> dict[str, bytes]:
    """Those of a file that an image keeps."""
    try:
        names = os.listxattr(place, follow_symlinks=False)
        return {
            name: os.getxattr(place, name, follow_symlinks=False)
            for name in names
            if name.startswith(_KEPT_XATTRS)
        }
    except OSError:
        return {}


def parents_missing(path: str, is_folder: Callable[[str], bool]) -> list[str]:
    """The folders above and with `path` that are not there, the outermost first."""
    missing = []
    path = posixpath.normpath(f"/{path}")
    while path != "/" and not is_folder(path):
        missing.append(path)
        path = posixpath.dirname(path)
    return missing[::-1]


def parse_mode(text: str) -> Mode | None:
    """`0755`, or `u=rwX,go=rX`; None for "". Raises InvalidArgument."""
    if not text:
        return None
    if _OCTAL.fullmatch(text):
        number = int(text, 8)
        return lambda mode: number
    clauses = [_CLAUSE.fullmatch(part) for part in text.split(",")]
    found = [match for match in clauses if match is not None]
    if len(found) != len(clauses):
        raise InvalidArgument(f"invalid chmod parameter: '{text}'. it should be octal or symbolic")
    return lambda mode: _applied(mode, found)


def _applied(mode: int, clauses: Sequence[re.Match[str]]) -> int:
    bits = stat.S_IMODE(mode)
    is_folder = stat.S_ISDIR(mode)
    for who, sign, what in (match.groups() for match in clauses):
        executable = "x" in what or ("X" in what and (is_folder or bits & 0o111))
        plain = 4 * ("r" in what) + 2 * ("w" in what) + bool(executable)
        classes = "ugo" if not who or "a" in who else who
        given = sum(
            plain << shift for name, shift in zip("ugo", (6, 3, 0), strict=True) if name in classes
        )
        given |= 0o4000 * ("s" in what and "u" in classes) | 0o2000 * (
            "s" in what and "g" in classes
        )
        given |= 0o1000 * ("t" in what)
        mask = sum(
            7 << shift for name, shift in zip("ugo", (6, 3, 0), strict=True) if name in classes
        )
        match sign:
            case "+":
                bits |= given
            case "-":
                bits &= ~given
            case _:
                bits = (bits & ~mask) | given
    return bits
