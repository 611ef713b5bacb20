"""Write one layer into a folder that starts empty, as a lower directory of overlayfs.

Runs only in the unpacker process, which has made that folder its root: no path, symlink or link of
the archive can reach beyond it, whatever this code does. Symlinks keep any target: they mean
something only inside the container. Device nodes are made as the layer has them, like Docker does:
they lie in a directory that only root enters, are never opened here, and the container's device
cgroup decides on their use.

Whiteouts (OCI image-spec layer.md) become what overlayfs reads: a character device 0:0, and the
attribute `trusted.overlay.opaque` of a directory. They hide lower layers only, so one that names
something of its own layer makes that opaque instead of removing it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.apply import OPEN_FOLDER, Applier, is_folder
from stackr.runtime.engine.archive.paths import open_directory
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, Limits, TarReader, show
from stackr.runtime.engine.linux.syscalls import open_at

__all__ = ["OPAQUE", "OPAQUE_XATTR", "WHITEOUT", "LayerApplier"]

WHITEOUT: Final = b".wh."
OPAQUE: Final = b".wh..wh..opq"
OPAQUE_XATTR: Final = "trusted.overlay.opaque"
_AUFS_OWN: Final = b".wh..wh."
_HOST_IS_AT_FAULT: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class LayerApplier(Applier):
    """entries, size_bytes: what was written. root: mode, uid, gid of the layer's own `/`, where it
    has one.
    """

    def __init__(self, reader: TarReader, folder: int, limits: Limits) -> None:
        super().__init__(reader, folder)
        self._limits = limits
        self.entries = 0
        self.size_bytes = 0
        self.root: dict[str, int] | None = None

    def apply_root(self, entry: Entry) -> None:
        if entry.type != tarstream.DIRECTORY:
            raise ArchiveError(f"{entry}: the root is not a directory")
        self._count()
        self.root = {"mode": entry.mode, "uid": entry.uid, "gid": entry.gid}
        self.set_attributes(self._folder, entry)

    def fail(self, entry: Entry, error: OSError) -> None:
        if error.errno in _HOST_IS_AT_FAULT:
            raise error
        raise ArchiveError(f"{entry}: {error.strerror}") from error

    def place(self, entry: Entry, folder: int, name: bytes) -> None:
        self._count()
        if name.startswith(WHITEOUT):
            _hide(folder, name)
        else:
            super().place(entry, folder, name)
            self.size_bytes += entry.size

    def _count(self) -> None:
        """One more file; parents that the archive does not list count as well."""
        self.entries += 1
        if self.entries > self._limits.entries:
            raise ArchiveError(f"more than {self._limits.entries} entries")

    def make_parent(self, folder: int, name: bytes) -> int:
        try:
            os.mkdir(name, 0o755, dir_fd=folder)
            self._count()
        except FileExistsError:
            if _is_whiteout(folder, name):
                os.unlink(name, dir_fd=folder)
                os.mkdir(name, 0o755, dir_fd=folder)
                _make_opaque(folder, name)
        return open_directory(folder, name)

    def make_folder(self, entry: Entry, folder: int, name: bytes) -> None:
        was_hidden = _is_whiteout(folder, name)
        super().make_folder(entry, folder, name)
        if was_hidden:
            _make_opaque(folder, name)

    def link(self, entry: Entry, source: int, base: bytes, folder: int, name: bytes) -> None:
        if _is_whiteout(source, base):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        super().link(entry, source, base, folder, name)


def _hide(folder: int, name: bytes) -> None:
    """What a whiteout says."""
    if name == OPAQUE:
        _make_opaque(folder, b".")
    if name.startswith(_AUFS_OWN):
        return
    hidden = name[len(WHITEOUT) :]
    if hidden in (b"", b".", b".."):
        raise ArchiveError(f"{show(name)}: invalid whiteout")
    try:
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
    except FileExistsError:
        if is_folder(folder, hidden):
            _make_opaque(folder, hidden)


def _make_opaque(folder: int, name: bytes) -> None:
    fd = open_at(folder, name, OPEN_FOLDER)
    try:
        os.setxattr(fd, OPAQUE_XATTR, b"y")
    finally:
        os.close(fd)


def _is_whiteout(folder: int, name: bytes) -> bool:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
