"""The files of a context: in a folder, or in the one file that they came in.

What a client sends is not unpacked: its content lies in one file, and is read from there by those
that copy it. Only a bind mount needs it as a folder, which is made then.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from stackr.build.tree import Tree
from stackr.errors import InvalidArgument

__all__ = [
    "Context",
    "FolderContext",
    "Found",
    "Place",
    "SpooledContext",
    "content_of",
    "empty_context",
    "inode_of",
    "read_found",
]


_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A file on the host: `size` bytes from `offset` on of `place`; of another kind, itself.

    mode: as stat(2) has it. target: of a symlink. inode: of a file that has several names, the same
    for all of them.
    """

    mode: int
    mtime_ns: int
    place: str = ""
    offset: int = 0
    size: int = 0
    target: str = ""
    owner: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    inode: tuple[int, int] | None = None


class Place(NamedTuple):
    """Where a file of a context is in what came in.

    link: the same number for all names of a file, 0 where it has but one.
    """

    offset: int
    mtime_ns: int
    link: int = 0


class Context(Protocol):
    """Files to build from; nobody else writes to them."""

    @property
    def tree(self) -> Tree: ...
    @property
    def whole(self) -> Tree:
        """With what no step sees: the Dockerfile, where it is not to be copied."""

    def find(self, path: str) -> Found | None:
        """A path of the whole tree."""

    def folder(self) -> Path:
        """A folder with all of it. Blocking. Raises OSError."""


@dataclass(frozen=True, slots=True)
class FolderContext:
    """A folder of the engine's own."""

    root: Path
    tree: Tree

    @property
    def whole(self) -> Tree:
        return self.tree

    def find(self, path: str) -> Found | None:
        place = os.path.join(self.root, path) if path else str(self.root)
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            return None
        target = os.readlink(place) if stat.S_ISLNK(status.st_mode) else ""
        inode = inode_of(status)
        return Found(
            status.st_mode, status.st_mtime_ns, place, 0, status.st_size, target, inode=inode
        )

    def folder(self) -> Path:
        return self.root


@dataclass(frozen=True, slots=True)
class SpooledContext:
    """spool: the content of all files, one after the other. places: by path.

    whole, tree: see `Context`.
    """

    spool: Path
    whole: Tree
    tree: Tree
    places: Mapping[str, Place]
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def find(self, path: str) -> Found | None:
        file = self.whole.files.get(path)
        if file is None:
            return None
        offset, mtime_ns, link = self.places[path]
        target = file.digest if file.is_link else ""
        inode = (0, link) if link else None
        return Found(file.mode, mtime_ns, str(self.spool), offset, file.size, target, inode=inode)

    def folder(self) -> Path:
        root = self.spool.with_name("files")
        with self._lock:
            if not root.exists():
                making = self.spool.with_name("making")
                making.mkdir(mode=0o755)
                self._unpack(making)
                making.rename(root)
        return root

    def _unpack(self, root: Path) -> None:
        """Devices, pipes and sockets are left out: nobody could read them through a mount."""
        folders = []
        with self.spool.open("rb") as spool:
            for path, file in sorted(self.tree.files.items()):
                place, (offset, mtime_ns, _) = root / path, self.places[path]
                if file.is_folder:
                    place.mkdir()
                    folders.append((place, file.mode, mtime_ns))
                elif file.is_link:
                    place.symlink_to(file.digest)
                elif stat.S_ISREG(file.mode):
                    with place.open("xb") as output:
                        _copy(spool.fileno(), offset, file.size, output.fileno())
                    place.chmod(stat.S_IMODE(file.mode))
                    os.utime(place, ns=(mtime_ns, mtime_ns))
        for place, mode, mtime_ns in reversed(folders):
            place.chmod(stat.S_IMODE(mode))
            os.utime(place, ns=(mtime_ns, mtime_ns))


def _copy(source: int, offset: int, size: int, target: int) -> None:
    os.lseek(source, offset, os.SEEK_SET)
    while size:
        done = os.sendfile(target, source, None, size)
        if not done:
            raise InvalidArgument("build context: is cut off")
        size -= done


def inode_of(status: os.stat_result) -> tuple[int, int] | None:
    """As a `Found` has it."""
    is_shared = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
    return (status.st_dev, status.st_ino) if is_shared else None


def empty_context() -> Context:
    return FolderContext(Path("/nonexistent"), Tree.of({}))


def read_found(found: Found, limit: int) -> bytes:
    """The content of a file, at most `limit` bytes of it. Blocking."""
    with open(found.place, "rb") as file:
        file.seek(found.offset)
        return file.read(min(limit, found.size))


def content_of(found: Found) -> Iterator[bytes]:
    """The content of a file in pieces. Blocking. Raises OSError."""
    with open(found.place, "rb") as file:
        file.seek(found.offset)
        left = found.size
        while left and (data := file.read(min(_PIECE, left))):
            left -= len(data)
            yield data
