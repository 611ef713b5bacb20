"""Write one layer into the current directory, as a lower directory of overlayfs.

Runs only in the unpacker process, which has made the target directory its root: no path, symlink
or link of the archive can reach beyond it, whatever this code does. On top of that, names and hard
links that climb out (`../`) are refused, as they have no honest use. Symlinks keep any target: they
mean something only inside the container. Device nodes are made as the layer has them, like Docker
does: they lie in a directory that only root enters, are never opened here, and the container's
device cgroup decides on their use.

Whiteouts (OCI image-spec layer.md) become what overlayfs reads: a character device 0:0, and the
attribute `trusted.overlay.opaque` of a directory. They hide lower layers only, so one that names
something of its own layer makes that opaque instead of removing it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any, Final

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, Limits, TarReader, show
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["LayerWriter"]

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_AUFS_OWN: Final = b".wh..wh."
_OPAQUE_XATTR: Final = "trusted.overlay.opaque"
_KEPT_XATTRS: Final = ("security.capability", "user.", "system.posix_acl_")
"""The rest belongs to a host (SELinux labels, IMA) or to overlayfs itself (`trusted.overlay.*`)."""

_MOST_REMEMBERED: Final = 50_000  # directories known to be there; each path may take 4 KiB
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerWriter:
    """Applies the members of one archive to the current directory, which starts empty."""

    def __init__(self, reader: TarReader, limits: Limits) -> None:
        self._reader = reader
        self._limits = limits
        self._directories: set[bytes] = {b""}
        self._late: dict[bytes, Entry] = {}
        """Modes and times of directories: set at the end, as content changes both."""
        self._makers: dict[bytes, Callable[[Entry, bytes], None]] = {
            tarstream.REGULAR: self._make_file,
            tarstream.HARD_LINK: self._make_hard_link,
            tarstream.SYMLINK: self._make_symlink,
            tarstream.CHAR_DEVICE: self._make_node,
            tarstream.BLOCK_DEVICE: self._make_node,
            tarstream.FIFO: self._make_node,
            tarstream.DIRECTORY: self._make_directory,
        }
        self.entries = 0
        self.size_bytes = 0
        self.root: dict[str, int] | None = None
        """mode, uid, gid of the layer's own `/`, where it has one."""

    def run(self, tick: Callable[[], None]) -> None:
        """Apply every member; `tick` is called after each. Raises ArchiveError, or OSError."""
        for entry in self._reader:
            self._apply(entry)
            self._count()
            tick()
        self._finish_directories()

    def _count(self) -> None:
        """One more file; parents that the archive does not list count as well."""
        self.entries += 1
        if self.entries > self._limits.entries:
            raise ArchiveError(f"more than {self._limits.entries} entries")

    def _apply(self, entry: Entry) -> None:
        path = _inside(entry.name, entry)
        if not path and entry.type != tarstream.DIRECTORY:
            raise ArchiveError(f"{entry}: the root is not a directory")
        parent, _, base = path.rpartition(b"/")
        try:
            if parent not in self._directories:
                self._make_parents(parent)
            if base.startswith(_WHITEOUT):
                self._whiteout(parent, base)
            else:
                self._makers[entry.type](entry, path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            raise ArchiveError(f"{entry}: {error.strerror}") from error

    def _make_parents(self, parent: bytes) -> None:
        if len(self._directories) > _MOST_REMEMBERED:
            self._directories = {b""}
        path = b""
        for part in parent.split(b"/"):
            path = path + b"/" + part if path else part
            if path not in self._directories:
                self._make_parent(path)
                self._directories.add(path)

    def _make_parent(self, path: bytes) -> None:
        try:
            os.mkdir(path, 0o755)
            self._count()
        except FileExistsError:
            if _is_whiteout(path):
                os.unlink(path)
                os.mkdir(path, 0o755)
                os.setxattr(path, _OPAQUE_XATTR, b"y", follow_symlinks=False)
            elif not stat.S_ISDIR(os.stat(path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None

    def _whiteout(self, parent: bytes, base: bytes) -> None:
        if base == _OPAQUE:
            os.setxattr(parent or b".", _OPAQUE_XATTR, b"y")
            return
        if base.startswith(_AUFS_OWN):
            return
        hidden = base[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise ArchiveError(f"{show(base)}: invalid whiteout")
        path = parent + b"/" + hidden if parent else hidden
        try:
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.setxattr(path, _OPAQUE_XATTR, b"y", follow_symlinks=False)

    def _make_file(self, entry: Entry, path: bytes) -> None:
        try:
            fd = os.open(path, _CREATE, 0o600)
        except FileExistsError:
            self._clear(path)
            fd = os.open(path, _CREATE, 0o600)
        try:
            for piece in self._reader.data():
                while piece:
                    piece = piece[os.write(fd, piece) :]
            if entry.uid or entry.gid:
                os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode)
            _set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        self.size_bytes += entry.size

    def _make_hard_link(self, entry: Entry, path: bytes) -> None:
        target = _inside(entry.linkname, entry)
        if target == path:
            raise ArchiveError(f"{entry}: hard link to itself")
        if _is_whiteout(target):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._making(path, lambda: os.link(target, path, follow_symlinks=False))

    def _make_symlink(self, entry: Entry, path: bytes) -> None:
        self._making(path, lambda: os.symlink(entry.linkname, path))
        os.lchown(path, entry.uid, entry.gid)
        _set_xattrs(path, entry)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _make_node(self, entry: Entry, path: bytes) -> None:
        kind = {tarstream.CHAR_DEVICE: stat.S_IFCHR, tarstream.BLOCK_DEVICE: stat.S_IFBLK}.get(
            entry.type, stat.S_IFIFO
        )
        self._making(path, lambda: os.mknod(path, kind | 0o600, os.makedev(*entry.device)))
        os.lchown(path, entry.uid, entry.gid)
        os.chmod(path, entry.mode)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _make_directory(self, entry: Entry, path: bytes) -> None:
        if not path:
            self.root = {"mode": entry.mode, "uid": entry.uid, "gid": entry.gid}
        else:
            self._make_directory_at(path)
        os.lchown(path or b".", entry.uid, entry.gid)
        _set_xattrs(path or b".", entry)
        self._late[path] = entry

    def _make_directory_at(self, path: bytes) -> None:
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                hides = _is_whiteout(path)
                self._clear(path)
                os.mkdir(path, 0o755)
                if hides:
                    os.setxattr(path, _OPAQUE_XATTR, b"y", follow_symlinks=False)
        self._directories.add(path)

    def _making(self, path: bytes, make: Callable[[], Any]) -> None:
        """Make something new at `path`, in place of what is there."""
        try:
            make()
        except FileExistsError:
            self._clear(path)
            make()

    def _clear(self, path: bytes) -> None:
        """Remove what an earlier member of the same archive has put at `path`."""
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            # What was reached through this directory, or this symlink, has to be looked up again
            self._directories = {b""}
        if stat.S_ISDIR(mode):
            remove_tree(path)
            inside = path + b"/"
            self._late = {
                name: entry
                for name, entry in self._late.items()
                if name != path and not name.startswith(inside)
            }
        else:
            os.unlink(path)

    def _finish_directories(self) -> None:
        """Deepest first, so that no parent's time changes after it is set."""
        for path, entry in sorted(self._late.items(), key=lambda item: -item[0].count(b"/")):
            name = path or b"."
            if not stat.S_ISDIR(os.lstat(name).st_mode):
                continue
            os.chmod(name, entry.mode)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _inside(name: bytes, entry: Entry) -> bytes:
    """The path below the root that `name` means, cleaned as Go's filepath.Clean; `` is the root.

    Raises ArchiveError for a name that climbs out of the root.
    """
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                what = f"{entry}: " if name is entry.name else f"{entry}: link to {show(name)}: "
                raise ArchiveError(f"{what}is outside of the root file system")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _is_whiteout(path: bytes) -> bool:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _set_xattrs(target: int | bytes, entry: Entry) -> None:
    for name, value in entry.xattrs.items():
        if not name.startswith(_KEPT_XATTRS):
            continue
        try:
            if isinstance(target, int):
                os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            # As Docker: a file system without them, or a symlink, which cannot carry `user.`
            if error.errno not in (errno.ENOTSUP, errno.EPERM) or name.startswith("security."):
                raise
