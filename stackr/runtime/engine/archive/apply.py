"""Write the members of one archive below a folder: what layers and copies have in common.

Each member's folder is resolved by the kernel to a descriptor; its last name is then used as it is,
and follows no symlink. Names that climb out (`../`) are refused. A later member replaces an earlier
one, and what is in the way; folders are merged.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.paths import make_directories, make_directory, open_directory
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, TarReader, show
from stackr.runtime.engine.linux.syscalls import open_at
from stackr.runtime.engine.linux.tree import remove_at

__all__ = ["KEPT_XATTRS", "OPEN_FOLDER", "Applier", "is_folder"]

KEPT_XATTRS: Final = ("security.capability", "user.", "system.posix_acl_")
"""The rest belongs to a host (SELinux labels, IMA) or to overlayfs itself (`trusted.overlay.*`)."""

OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES: Final = {
    tarstream.CHAR_DEVICE: stat.S_IFCHR,
    tarstream.BLOCK_DEVICE: stat.S_IFBLK,
    tarstream.FIFO: stat.S_IFIFO,
}

_Make = Callable[[Entry, int, bytes], None]


class Applier:
    """folder: a descriptor of where to write. owner: (uid, gid) for all, None for the archive's."""

    def __init__(
        self, reader: TarReader, folder: int, *, owner: tuple[int, int] | None = None
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._owner = owner
        self._parent: tuple[bytes, int] = (b"", os.dup(folder))
        self._times: dict[bytes, int] = {}
        """Of folders: set at the end, as content changes them."""
        self._makers: dict[bytes, _Make] = {
            tarstream.REGULAR: self.make_file,
            tarstream.DIRECTORY: self.make_folder,
            tarstream.SYMLINK: self.make_symlink,
            tarstream.HARD_LINK: self.make_hard_link,
        }

    def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Write every member; `tick` is called after each. Raises ArchiveError, or OSError."""
        for entry in self._reader:
            path = _inside(entry.name, entry)
            if path:
                parent, _, name = path.rpartition(b"/")
                try:
                    self.place(entry, self._enter(parent), name)
                except OSError as error:
                    self.fail(entry, error)
                if entry.type == tarstream.DIRECTORY:
                    self._times[path] = entry.mtime_ns
            else:
                self.apply_root(entry)
            tick()
        self._set_times()
        os.close(self._parent[1])

    # What the two kinds of archives do each in its own way

    def apply_root(self, entry: Entry) -> None:
        """A member that is the folder itself."""

    def fail(self, entry: Entry, error: OSError) -> None:
        """Raise what a member's failure is to its caller."""
        error.filename = os.fsdecode(entry.name)
        raise error

    def place(self, entry: Entry, folder: int, name: bytes) -> None:
        """Make one member in its folder."""
        self._makers.get(entry.type, self.make_node)(entry, folder, name)

    def make_parent(self, folder: int, name: bytes) -> int:
        """A folder that members lie in, made where it is missing; returns it opened."""
        return make_directory(folder, name)

    def make_room(self, entry: Entry, folder: int, name: bytes) -> None:
        """Remove what is there already, which is not to be merged."""
        remove_at(folder, name)

    # The kinds of members

    def make_file(self, entry: Entry, folder: int, name: bytes) -> None:
        fd = self._created(entry, folder, name)
        try:
            for piece in self._reader.data():
                while piece:
                    piece = piece[os.write(fd, piece) :]
            self.set_attributes(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _created(self, entry: Entry, folder: int, name: bytes) -> int:
        try:
            return os.open(name, _CREATE, 0o600, dir_fd=folder)
        except FileExistsError:
            self._clear(entry, folder, name)
            return os.open(name, _CREATE, 0o600, dir_fd=folder)

    def make_folder(self, entry: Entry, folder: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            if not is_folder(folder, name):
                self._clear(entry, folder, name)
                os.mkdir(name, 0o700, dir_fd=folder)
        fd = open_at(folder, name, OPEN_FOLDER)
        try:
            self.set_attributes(fd, entry)
        finally:
            os.close(fd)

    def make_symlink(self, entry: Entry, folder: int, name: bytes) -> None:
        self._making(entry, folder, name, lambda: os.symlink(entry.linkname, name, dir_fd=folder))
        self._set_node(entry, folder, name)

    def make_node(self, entry: Entry, folder: int, name: bytes) -> None:
        mode, device = _NODES[entry.type] | entry.mode, os.makedev(*entry.device)
        self._making(entry, folder, name, lambda: os.mknod(name, mode, device, dir_fd=folder))
        self._set_node(entry, folder, name)

    def make_hard_link(self, entry: Entry, folder: int, name: bytes) -> None:
        target = _inside(entry.linkname, entry)
        if target == _inside(entry.name, entry):
            raise ArchiveError(f"{entry}: hard link to itself")
        parent, _, base = target.rpartition(b"/")
        source = open_directory(self._folder, parent or b".")
        try:
            self.link(entry, source, base, folder, name)
        finally:
            os.close(source)

    def link(self, entry: Entry, source: int, base: bytes, folder: int, name: bytes) -> None:
        self._making(
            *(entry, folder, name),
            lambda: os.link(
                base, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False
            ),
        )

    def _making(self, entry: Entry, folder: int, name: bytes, make: Callable[[], object]) -> None:
        """Make something new, in place of what is there."""
        try:
            make()
        except FileExistsError:
            self._clear(entry, folder, name)
            make()

    def _clear(self, entry: Entry, folder: int, name: bytes) -> None:
        was_folder = is_folder(folder, name)
        self.make_room(entry, folder, name)
        if was_folder:
            path = _inside(entry.name, entry)
            gone = [each for each in self._times if each == path or each.startswith(path + b"/")]
            for each in gone:
                del self._times[each]

    # Attributes

    def set_attributes(self, fd: int, entry: Entry) -> None:
        os.fchown(fd, *self._owner_of(entry))
        os.fchmod(fd, entry.mode)  # after the owner, whose change takes special bits away
        for name, value in entry.xattrs.items():
            if name.startswith(KEPT_XATTRS):
                _set_xattr(fd, name, value)

    def _owner_of(self, entry: Entry) -> tuple[int, int]:
        return self._owner or (entry.uid, entry.gid)

    def _set_node(self, entry: Entry, folder: int, name: bytes) -> None:
        uid, gid = self._owner_of(entry)
        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        _set_time(folder, name, entry.mtime_ns)

    def _set_times(self) -> None:
        """Deepest first, so that no parent's time changes after it is set."""
        for path, mtime_ns in sorted(self._times.items(), key=lambda item: -item[0].count(b"/")):
            parent, _, name = path.rpartition(b"/")
            with suppress(FileNotFoundError, NotADirectoryError):
                folder = open_directory(self._folder, parent or b".")
                try:
                    if is_folder(folder, name):
                        _set_time(folder, name, mtime_ns)
                finally:
                    os.close(folder)

    def _enter(self, parent: bytes) -> int:
        """The folder of a member; the last one is kept open, as its siblings mostly follow.

        What takes its place, or that of a folder above it, is a member of another folder.
        """
        known, fd = self._parent
        if parent != known:
            below = make_directories(self._folder, parent, make=self.make_parent)
            os.close(fd)
            self._parent, fd = (parent, below), below
        return fd


def _inside(name: bytes, entry: Entry) -> bytes:
    """The path below the folder that `name` means, cleaned as Go's filepath.Clean; `` is the
    folder itself. Raises ArchiveError for a name that climbs out.
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


def is_folder(folder: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _set_time(folder: int, name: bytes, mtime_ns: int) -> None:
    os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)


def _set_xattr(fd: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        # As Docker: a file system without them
        if error.errno not in (errno.ENOTSUP, errno.EPERM) or name.startswith("security."):
            raise
