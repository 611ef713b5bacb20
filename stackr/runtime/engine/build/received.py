"""A context as it comes in, a tar archive -> its tree, and one file with the content of all files.

Nothing of it is trusted: a member whose name climbs out or whose folder is no folder of the same
archive is refused, so that no symlink is ever gone through. Nothing is unpacked: 10,000 files cost
the disk one. Files belong to root, as dockerd has it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import posixpath
import stat
from pathlib import Path
from typing import BinaryIO, Final

from stackr.build.tree import File, Tree
from stackr.errors import InvalidArgument
from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.decompress import Source, decompressed
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, Limits, TarReader
from stackr.runtime.engine.build.files import Place, SpooledContext

__all__ = ["Receiver", "receive"]

_BUFFER: Final = 1 << 18
_NODES: Final = {
    tarstream.CHAR_DEVICE: stat.S_IFCHR,
    tarstream.BLOCK_DEVICE: stat.S_IFBLK,
    tarstream.FIFO: stat.S_IFIFO,
}


def receive(archive: int, spool: Path) -> SpooledContext:
    """Read an archive, compressed or not, from a descriptor into a new file. Blocking.

    Raises InvalidArgument for one that is damaged or hostile, OSError for a full disk.
    """
    try:
        with spool.open("xb", buffering=_BUFFER) as output:
            receiver = Receiver(output, TarReader(decompressed(Source(archive)), Limits()))
            receiver.run()
    except ArchiveError as error:
        raise InvalidArgument(f"build context: {error}") from error
    tree = Tree.of(receiver.files)
    return SpooledContext(spool, tree, tree, receiver.places)


class Receiver:
    """Reads one archive: files and places as a `SpooledContext` has them, content to `output`."""

    def __init__(self, output: BinaryIO, reader: TarReader) -> None:
        self._output = output
        self._reader = reader
        self._offset = 0
        self.files: dict[str, File] = {}
        self.places: dict[str, Place] = {}
        self._links = itertools.count(1)

    def run(self) -> None:
        for entry in self._reader:
            path = self._path(entry.name)
            if path:
                self._enter(path.rpartition("/")[0], entry)
                self._make_room(path, entry)
                self._add(path, entry)

    def _add(self, path: str, entry: Entry) -> None:
        mode, place = entry.mode & 0o7777, Place(self._offset, entry.mtime_ns)
        match entry.type:
            case tarstream.DIRECTORY:
                file = File(stat.S_IFDIR | mode)
            case tarstream.REGULAR:
                file = self._write(entry)
            case tarstream.SYMLINK:
                file = File(stat.S_IFLNK | 0o777, os.fsdecode(entry.linkname))
            case tarstream.HARD_LINK:
                file, place = self._linked(entry)
            case kind:
                file = File(_NODES[kind] | mode)
        self.files[path] = file
        self.places[path] = place

    def _path(self, name: bytes) -> str:
        path = posixpath.normpath(os.fsdecode(name).lstrip("/") or ".")
        if path == ".." or path.startswith("../"):
            raise ArchiveError(f"{tarstream.show(name)}: leads out of the archive")
        return "" if path == "." else path

    def _enter(self, parent: str, entry: Entry) -> None:
        """See that the folder of a member is one, and know those that are not in the archive."""
        missing = []
        while parent and parent not in self.files:
            missing.append(parent)
            parent = parent.rpartition("/")[0]
        if parent and not self.files[parent].is_folder:
            raise ArchiveError(
                f"{tarstream.show(entry.name)}: is below something that is no folder"
            )
        for path in missing:
            self.files[path] = File(stat.S_IFDIR | 0o755)
            self.places[path] = Place(0, entry.mtime_ns)

    def _make_room(self, path: str, entry: Entry) -> None:
        """A later member takes the place of an earlier one; folders are merged."""
        known = self.files.get(path)
        if known is not None and known.is_folder and entry.type != tarstream.DIRECTORY:
            raise ArchiveError(f"{tarstream.show(entry.name)}: is a folder already")

    def _write(self, entry: Entry) -> File:
        sha256, size = hashlib.sha256(), 0
        for piece in self._reader.data():
            sha256.update(piece)
            size += self._output.write(piece)
        self._offset += size
        return File(stat.S_IFREG | (entry.mode & 0o7777), sha256.hexdigest(), size)

    def _linked(self, entry: Entry) -> tuple[File, Place]:
        target = self._path(entry.linkname)
        file = self.files.get(target)
        if file is None or not stat.S_ISREG(file.mode):
            raise ArchiveError(f"{tarstream.show(entry.name)}: links to what is not in the archive")
        place = self.places[target]
        if not place.link:
            self.places[target] = place = place._replace(link=next(self._links))
        return file, place
