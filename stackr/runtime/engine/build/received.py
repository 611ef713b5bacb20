"""A context as it comes in, a tar archive -> a folder of the engine's own, with its tree.

Nothing of it is trusted: a member whose name climbs out or whose folder is no folder of the same
archive is refused, so that no symlink is ever gone through. Devices, pipes and sockets are known to
the tree, and not made. Files belong to root, as dockerd has it.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from pathlib import Path
from typing import Final

from stackr.build.tree import File, Tree
from stackr.errors import InvalidArgument
from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.decompress import Source, decompressed
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, Limits, TarReader
from stackr.runtime.engine.build.request import Context

__all__ = ["receive"]

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES: Final = {
    tarstream.CHAR_DEVICE: stat.S_IFCHR,
    tarstream.BLOCK_DEVICE: stat.S_IFBLK,
    tarstream.FIFO: stat.S_IFIFO,
}


def receive(archive: int, root: Path) -> Context:
    """Read an archive, compressed or not, from a descriptor into an empty folder. Blocking.

    Raises InvalidArgument for one that is damaged or hostile, OSError for a full disk.
    """
    try:
        reader = TarReader(decompressed(Source(archive)), Limits())
        return _Receiver(root, reader).run()
    except ArchiveError as error:
        raise InvalidArgument(f"build context: {error}") from error


class _Receiver:
    def __init__(self, root: Path, reader: TarReader) -> None:
        self._root = root
        self._reader = reader
        self._files: dict[str, File] = {}
        self._times: list[tuple[str, int]] = []

    def run(self) -> Context:
        for entry in self._reader:
            self._add(entry)
        for path, time_ns in reversed(self._times):
            os.utime(self._root / path, ns=(time_ns, time_ns))
        return Context(self._root, Tree.of(self._files))

    def _add(self, entry: Entry) -> None:
        path = self._path(entry.name)
        if not path:
            return
        self._enter(path.rpartition("/")[0], entry)
        self._make_room(path, entry)
        place = os.path.join(self._root, path)
        match entry.type:
            case tarstream.DIRECTORY:
                if path not in self._files:
                    os.mkdir(place)
                os.chmod(place, entry.mode & 0o7777)
                self._files[path] = File(stat.S_IFDIR | (entry.mode & 0o7777))
                self._times.append((path, entry.mtime_ns))
            case tarstream.REGULAR:
                self._files[path] = self._write(place, entry)
            case tarstream.SYMLINK:
                os.symlink(entry.linkname, place)
                times = (entry.mtime_ns, entry.mtime_ns)
                os.utime(place, ns=times, follow_symlinks=False)
                self._files[path] = File(stat.S_IFLNK | 0o777, os.fsdecode(entry.linkname))
            case tarstream.HARD_LINK:
                self._link(path, place, entry)
            case kind:
                self._files[path] = File(_NODES[kind] | (entry.mode & 0o7777))

    def _path(self, name: bytes) -> str:
        path = posixpath.normpath(os.fsdecode(name).lstrip("/") or ".")
        if path == ".." or path.startswith("../"):
            raise ArchiveError(f"{tarstream.show(name)}: leads out of the archive")
        return "" if path == "." else path

    def _enter(self, parent: str, entry: Entry) -> None:
        """See that the folder of a member is one, and make those that are not in the archive."""
        missing = []
        while parent and parent not in self._files:
            missing.append(parent)
            parent = parent.rpartition("/")[0]
        if parent and not self._files[parent].is_folder:
            raise ArchiveError(
                f"{tarstream.show(entry.name)}: is below something that is no folder"
            )
        for path in reversed(missing):
            os.mkdir(self._root / path, 0o755)
            self._files[path] = File(stat.S_IFDIR | 0o755)

    def _make_room(self, path: str, entry: Entry) -> None:
        """A later member takes the place of an earlier one; folders are merged."""
        known = self._files.get(path)
        if known is None or (known.is_folder and entry.type == tarstream.DIRECTORY):
            return
        if known.is_folder:
            raise ArchiveError(f"{tarstream.show(entry.name)}: is a folder already")
        if stat.S_ISREG(known.mode) or known.is_link:
            os.unlink(self._root / path)
        del self._files[path]

    def _write(self, place: str, entry: Entry) -> File:
        fd = os.open(place, _CREATE, 0o600)
        try:
            sha256, size = hashlib.sha256(), 0
            for piece in self._reader.data():
                sha256.update(piece)
                size += len(piece)
                while piece:
                    piece = piece[os.write(fd, piece) :]
            os.fchmod(fd, entry.mode & 0o7777)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        return File(stat.S_IFREG | (entry.mode & 0o7777), sha256.hexdigest(), size)

    def _link(self, path: str, place: str, entry: Entry) -> None:
        target = self._path(entry.linkname)
        file = self._files.get(target)
        if file is None or not stat.S_ISREG(file.mode):
            raise ArchiveError(f"{tarstream.show(entry.name)}: links to what is not in the archive")
        os.link(self._root / target, place, follow_symlinks=False)
        self._files[path] = file
