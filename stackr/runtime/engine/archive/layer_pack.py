"""A container's writable layer as an OCI layer: what overlayfs keeps becomes whiteouts.

A character device 0:0 hides a name, and the attribute `trusted.overlay.opaque` all that a folder
has below. What the engine puts into a container (`/.dockerenv`; `/etc/hosts`, `/proc` ... to mount
on) is not its change, and left out while it is empty. Source: OCI image-spec layer.md,
"Representing Changes".
"""

from __future__ import annotations

import os
import stat
from typing import Final, NamedTuple

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.apply import KEPT_XATTRS
from stackr.runtime.engine.archive.layer import OPAQUE, OPAQUE_XATTR, WHITEOUT
from stackr.runtime.engine.archive.pack import Packer, header

__all__ = ["LayerPacker", "is_engines_own"]

_MOUNT_FOLDERS: Final = frozenset((b"dev", b"proc", b"sys"))
_MOUNT_FILES: Final = frozenset((b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b".dockerenv"))


class LayerPacker(Packer):
    """Writes one layer to a descriptor; call `add_root` once, then `close`.

    entries: how many there are beside the root; a layer without any changes nothing.
    """

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.entries = 0

    def add_root(self, folder: int) -> None:
        """folder: a descriptor of the upper directory, closed here. Raises OSError."""
        self._add_tree(folder, b"")

    def _open_level(self, folder: int, path: bytes) -> tuple[int, bytes, list[bytes]]:
        try:
            status = os.fstat(folder)
            name = path + b"/" if path else b"./"
            xattrs = self._xattrs(folder)
            self._write(header(name, status, tarstream.DIRECTORY, xattrs=xattrs))
            self.entries += bool(path)
            if _is_opaque(folder):
                self._write(_empty_file(self._below(path, OPAQUE), status))
            names = sorted(map(os.fsencode, os.listdir(folder)), reverse=True)
        except BaseException:
            os.close(folder)
            raise
        return folder, self._below(path, b""), names

    def _below(self, path: bytes, name: bytes) -> bytes:
        return path + b"/" + name if path else name

    def _add_entry(self, folder: int, name: bytes, path: bytes) -> tuple[int, bytes] | None:
        if is_engines_own(folder, name, path + name):
            return None
        return super()._add_entry(folder, name, path)

    def _add_other(
        self, folder: int, name: bytes, archive_name: bytes, status: os.stat_result
    ) -> None:
        self.entries += 1
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            parent, slash, base = archive_name.rpartition(b"/")
            self._write(_empty_file(parent + slash + WHITEOUT + base, status))
            return
        super()._add_other(folder, name, archive_name, status)

    def _xattrs(self, fd: int) -> dict[str, bytes]:
        try:
            names = os.listxattr(fd)
        except OSError:
            return {}
        return {name: os.getxattr(fd, name) for name in names if name.startswith(KEPT_XATTRS)}


class _Mark(NamedTuple):
    """An empty file of root's, which only its name means something of."""

    st_mtime_ns: int
    st_mode: int = stat.S_IFREG
    st_uid: int = 0
    st_gid: int = 0
    st_rdev: int = 0


def _empty_file(name: bytes, like: os.stat_result) -> bytes:
    return header(name, _Mark(like.st_mtime_ns), tarstream.REGULAR)


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def is_engines_own(folder: int, name: bytes, path: bytes) -> bool:
    """Whether it is what the engine puts into each container. path: of the name, from the root."""
    if path not in _MOUNT_FOLDERS and path not in _MOUNT_FILES:
        return False
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if path in _MOUNT_FILES:
            return stat.S_ISREG(status.st_mode) and status.st_size == 0
        if not stat.S_ISDIR(status.st_mode):
            return False
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return False
    try:
        return not os.listdir(fd) and not _is_opaque(fd)
    finally:
        os.close(fd)
