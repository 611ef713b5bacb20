"""Write the members of an archive below one folder of the view.

Each member's folder is resolved by the kernel, inside the container, to a descriptor; its last name
is then used as it is, and follows no symlink. Names that climb out (`../`) are refused. What is in
the way is replaced, where the request does not forbid it between folders and others.
Source: Docker Engine API, "PutContainerArchive".
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.paths import make_directories, open_directory
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, TarReader, show
from stackr.runtime.engine.linux.syscalls import open_at

__all__ = ["Extractor", "remove_at"]

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_KEPT_XATTRS: Final = ("security.capability", "user.", "system.posix_acl_")
_MOST_LATE: Final = 100_000  # folders whose times are set at the end; each path may take 4 KiB
_NODES: Final = {
    tarstream.CHAR_DEVICE: stat.S_IFCHR,
    tarstream.BLOCK_DEVICE: stat.S_IFBLK,
    tarstream.FIFO: stat.S_IFIFO,
}


class Extractor:
    """folder: a descriptor of where to extract, `shown` its path for messages.

    owner: (uid, gid) for all that is written, None for what the archive says.
    keep_kinds: refuse to replace a folder by something else, and the other way round.
    """

    def __init__(
        self,
        reader: TarReader,
        folder: int,
        *,
        shown: str,
        owner: tuple[int, int] | None,
        keep_kinds: bool,
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._shown = shown
        self._owner = owner
        self._keep_kinds = keep_kinds
        self._parent: tuple[bytes, int] = (b"", os.dup(folder))
        self._late: list[tuple[bytes, int]] = []
        self._makers: dict[bytes, Callable[[Entry, int, bytes], None]] = {
            tarstream.REGULAR: self._make_file,
            tarstream.DIRECTORY: self._make_directory,
            tarstream.SYMLINK: self._make_symlink,
            tarstream.HARD_LINK: self._make_hard_link,
        }

    def run(self) -> None:
        """Extract every member. Raises ArchiveError, or OSError with the member's name."""
        for entry in self._reader:
            path = _inside(entry.name, entry)
            if not path:
                continue  # the folder itself
            parent, _, name = path.rpartition(b"/")
            try:
                self._place(entry, self._enter(parent), name)
            except OSError as error:
                error.filename = os.fsdecode(entry.name)
                raise
            if entry.type == tarstream.DIRECTORY and len(self._late) < _MOST_LATE:
                self._late.append((path, entry.mtime_ns))
        self._set_times()
        os.close(self._parent[1])

    def _enter(self, parent: bytes) -> int:
        """The folder of a member; the last one is kept open, as its siblings mostly follow."""
        known, fd = self._parent
        if parent != known:
            below = make_directories(self._folder, parent)
            os.close(fd)
            self._parent, fd = (parent, below), below
        return fd

    def _place(self, entry: Entry, folder: int, name: bytes) -> None:
        self._make_room(entry, folder, name)
        self._makers.get(entry.type, self._make_node)(entry, folder, name)

    def _make_room(self, entry: Entry, folder: int, name: bytes) -> None:
        """Remove what is in the way; folders are merged."""
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        was_folder, is_folder = stat.S_ISDIR(mode), entry.type == tarstream.DIRECTORY
        if was_folder and is_folder:
            return
        if self._keep_kinds and was_folder != is_folder:
            kinds = ("directory", "non-directory")
            old, new = kinds if was_folder else reversed(kinds)
            what = f'cannot overwrite {old} {show(entry.name)} with {new} "{self._shown}"'
            raise ArchiveError(what)
        remove_at(folder, name)

    def _make_file(self, entry: Entry, folder: int, name: bytes) -> None:
        fd = os.open(name, _CREATE, 0o600, dir_fd=folder)
        try:
            for piece in self._reader.data():
                while piece:
                    piece = piece[os.write(fd, piece) :]
            self._set_attributes(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _make_directory(self, entry: Entry, folder: int, name: bytes) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
        fd = open_at(folder, name, _OPEN_FOLDER)
        try:
            self._set_attributes(fd, entry)
        finally:
            os.close(fd)

    def _make_symlink(self, entry: Entry, folder: int, name: bytes) -> None:
        os.symlink(entry.linkname, name, dir_fd=folder)
        self._set_node(entry, folder, name)

    def _make_node(self, entry: Entry, folder: int, name: bytes) -> None:
        mode, device = _NODES[entry.type] | entry.mode, os.makedev(*entry.device)
        os.mknod(name, mode, device, dir_fd=folder)
        self._set_node(entry, folder, name)

    def _make_hard_link(self, entry: Entry, folder: int, name: bytes) -> None:
        target = _inside(entry.linkname, entry)
        parent, _, base = target.rpartition(b"/")
        source = open_directory(self._folder, parent or b".")
        try:
            os.link(base, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)

    def _owner_of(self, entry: Entry) -> tuple[int, int]:
        return self._owner or (entry.uid, entry.gid)

    def _set_node(self, entry: Entry, folder: int, name: bytes) -> None:
        uid, gid = self._owner_of(entry)
        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)

    def _set_attributes(self, fd: int, entry: Entry) -> None:
        os.fchown(fd, *self._owner_of(entry))
        os.fchmod(fd, entry.mode)  # after the owner, whose change takes special bits away
        for name, value in entry.xattrs.items():
            if name.startswith(_KEPT_XATTRS):
                _set_xattr(fd, name, value)

    def _set_times(self) -> None:
        """Of folders, deepest first, as their content is there now."""
        for path, mtime_ns in sorted(self._late, key=lambda item: -item[0].count(b"/")):
            parent, _, name = path.rpartition(b"/")
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                folder = open_directory(self._folder, parent or b".")
                try:
                    times = (mtime_ns, mtime_ns)
                    os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)
                finally:
                    os.close(folder)


def _inside(name: bytes, entry: Entry) -> bytes:
    """The path below the folder that `name` means; b"" is the folder itself.

    Raises ArchiveError for a name that climbs out.
    """
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise ArchiveError(f"invalid entry name {show(name)} of {entry}")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _set_xattr(fd: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        # As Docker: a file system without them
        if error.errno not in (errno.ENOTSUP, errno.EPERM) or name.startswith("security."):
            raise


def remove_at(folder: int, name: bytes) -> None:
    """Remove an entry of a folder and all below it; symlinks are removed, never followed.

    A folder that is not empty is first moved up to lie in `folder`, so that neither paths nor the
    number of descriptors grow with the depth.
    """
    asides = (b".%s.removed.%d" % (name[:100], number) for number in count())
    pending = [name]
    while pending:
        top = pending.pop()
        try:
            below = open_at(folder, top, _OPEN_FOLDER)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                raise
            with contextlib.suppress(FileNotFoundError):
                os.unlink(top, dir_fd=folder)
            continue
        try:
            for entry in map(os.fsencode, os.listdir(below)):
                if _is_not_empty_folder(below, entry):
                    pending.append(_move(below, entry, folder, asides))
        finally:
            os.close(below)
        os.rmdir(top, dir_fd=folder)


def _is_not_empty_folder(folder: int, name: bytes) -> bool:
    """Remove an entry, unless it is a folder with something in it."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return True
    return False


def _move(source: int, name: bytes, target: int, names: Iterator[bytes]) -> bytes:
    """To the first free name in `target`."""
    for new in names:
        try:
            os.stat(new, dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
            return new
    raise AssertionError("count() ends")
