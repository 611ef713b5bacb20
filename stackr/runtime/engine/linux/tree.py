"""Directory trees made by others: place, copy, remove, measure and sync them, whatever their depth.

Written without recursion and without one descriptor per level: a container can nest directories
far deeper than Python's stack, a path's limit or the descriptor limit allow.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from contextlib import suppress
from itertools import count
from typing import Final

from stackr.runtime.engine.linux.syscalls import (
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    open_at,
    syncfs,
)

__all__ = [
    "copy_attributes",
    "disk_usage",
    "remove_at",
    "remove_tree",
    "spread_children",
    "sync_file_system",
]

_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_TOP_OF_HIERARCHIES: Final = 0x00020000
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN_BYTES: Final = 8
_ASIDE: Final = b".wh..wh.aside."  # a prefix that no layer and no container file system shows


def remove_tree(path: str | bytes | os.PathLike[str]) -> None:
    """Remove `path` and all below; a missing one is fine. Symlinks are removed, never followed.

    A directory that is not empty is renamed to lie beside `path`, so that no path gets long; its
    parent must be on the same file system and writable. Interrupted, it leaves such directories,
    which a later call on the parent removes. Raises OSError.
    """
    parent, name = os.path.split(os.fsencode(path).rstrip(b"/"))
    try:
        folder = os.open(parent or b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        remove_at(folder, name)
    finally:
        os.close(folder)


def remove_at(folder: int, name: bytes) -> None:
    """As `remove_tree`, of an entry of the folder that a descriptor stands for."""
    # Names of this call's own: others remove beside it, and an interrupted one may have left some.
    own = os.urandom(_OWN_BYTES).hex().encode()
    asides = (_ASIDE + b"%b.%d" % (own, number) for number in count())
    pending = [name]
    while pending:
        top = pending.pop()
        try:
            below = os.open(top, _OPEN_FOLDER, dir_fd=folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            with suppress(FileNotFoundError):
                os.unlink(top, dir_fd=folder)
            continue
        try:
            for entry in map(os.fsencode, os.listdir(below)):
                if not _is_removed(below, entry):
                    pending.append(next(asides))
                    os.rename(entry, pending[-1], src_dir_fd=below, dst_dir_fd=folder)
        finally:
            os.close(below)
        os.rmdir(top, dir_fd=folder)


def _is_removed(folder: int, name: bytes) -> bool:
    """Remove an entry, unless it is a folder with something in it."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
    return True


def disk_usage(path: str | os.PathLike[str]) -> int:
    """Bytes in all below `path` that are no folders, each inode once.

    No symlink is followed, whatever takes a folder's place meanwhile. What vanishes is not counted,
    nor what lies below a path longer than the system's limit.
    """
    total = 0
    seen: set[tuple[int, int]] = set()
    try:
        root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    pending = [b"."]
    try:
        while pending:
            folder = pending.pop()
            try:
                resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
                fd = open_at(root, folder, os.O_RDONLY | os.O_DIRECTORY, resolve=resolve)
            except OSError:
                continue
            size, folders = _level(fd, seen)
            total += size
            pending += [os.path.join(folder, name) for name in folders]
    finally:
        os.close(root)
    return total


def _level(fd: int, seen: set[tuple[int, int]]) -> tuple[int, list[bytes]]:
    """What one folder, which is closed, has in it: bytes, and the names of the folders."""
    size, folders = 0, []
    try:
        with os.scandir(fd) as scan:
            for entry in scan:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(os.fsencode(entry.name))
                else:
                    size += _size_once(entry, seen)
    except OSError:  # it has been removed
        pass
    finally:
        os.close(fd)
    return size, folders


def _size_once(entry: os.DirEntry[str], seen: set[tuple[int, int]]) -> int:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return 0
    if status.st_nlink > 1:
        inode = (status.st_dev, status.st_ino)
        if inode in seen:
            return 0
        seen.add(inode)
    return status.st_size


def copy_attributes(source: int, target: int) -> None:
    """Owner, mode, extended attributes and times, from one descriptor to another.

    Attributes that the file system does not take are left out. Raises OSError for the rest.
    """
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def spread_children(path: str | os.PathLike[str]) -> None:
    """Have the file system place each directory in `path`, with all below, apart from the others.

    On ext4 trees that are written at once then do not take turns at one group of blocks, nor do new
    ones search for inodes among those of a tree that has just been removed. It is advice: nothing
    happens where a file system does not take it. Source: ioctl_iflags(2), FS_TOPDIR_FL.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = bytearray(8)
        fcntl.ioctl(fd, _GET_FLAGS, flags)
        wanted = int.from_bytes(flags[:4], sys.byteorder) | _TOP_OF_HIERARCHIES
        fcntl.ioctl(fd, _SET_FLAGS, wanted.to_bytes(4, sys.byteorder) + bytes(4))
    except OSError:
        pass
    finally:
        os.close(fd)


def sync_file_system(path: str | os.PathLike[str]) -> None:
    """Wait until all that was written to the file system of `path` is on the disk: syncfs(2).

    Blocking, for as long as the disk needs. Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syncfs(fd)
    finally:
        os.close(fd)
