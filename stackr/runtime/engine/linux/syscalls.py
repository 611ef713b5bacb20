"""The system calls, and calls of libc, that Python 3.11 has no name for.

Source: openat2(2), open_tree(2), move_mount(2), mount_setattr(2), renameat2(2), capset(2),
inotify(7). The
numbers from 424 on are the same on every architecture but Alpha. All raise OSError.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from typing import Final

__all__ = [
    "CLONE_FILES",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NOEXEC",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_RDONLY",
    "RESOLVE_BENEATH",
    "RESOLVE_IN_ROOT",
    "RESOLVE_NO_MAGICLINKS",
    "RESOLVE_NO_SYMLINKS",
    "adopt_orphans",
    "clone_tree",
    "die_with_parent",
    "inotify_add_watch",
    "inotify_init",
    "inotify_rm_watch",
    "keep_capabilities",
    "make_private",
    "mount",
    "move_mount",
    "open_at",
    "pivot_root",
    "quotactl_fd",
    "receive_mounts",
    "rename_new",
    "set_mount_attributes",
    "setns",
    "syncfs",
    "trim_heap",
    "unmount",
    "unshare",
]

CLONE_FILES: Final = 0x00000400
CLONE_NEWNET: Final = 0x40000000
CLONE_NEWNS: Final = 0x00020000
MOUNT_ATTR_RDONLY: Final = 1
MOUNT_ATTR_NOSUID: Final = 2
MOUNT_ATTR_NODEV: Final = 4
MOUNT_ATTR_NOEXEC: Final = 8
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

_SYS_open_tree: Final = 428
_SYS_move_mount: Final = 429
_SYS_openat2: Final = 437
_SYS_mount_setattr: Final = 442
_SYS_quotactl_fd: Final = 443

_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
_MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
_MNT_DETACH: Final = 2
_RENAME_NOREPLACE: Final = 1
_MOST_TRIES: Final = 1000  # the kernel gives up a ".." whenever something on the host is renamed
_UMOUNT_NOFOLLOW: Final = 8
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 1 << 18
_MS_SLAVE: Final = 1 << 19
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION_3: Final = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def open_at(folder: int, path: bytes, flags: int, *, resolve: int = RESOLVE_NO_MAGICLINKS) -> int:
    """openat2(2): `path` from the folder on, following symlinks but none of /proc's magic ones."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    result = -1
    for _ in range(_MOST_TRIES):
        result = int(_libc.syscall(_SYS_openat2, folder, path, ctypes.byref(how), size))
        if result >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
    return _check(result, os.fsdecode(path))


def clone_tree(place: int, *, recursive: bool) -> int:
    """A descriptor of a copy of the mount at what another one stands for, attached nowhere yet.

    The root of the copy is that very file or folder.
    """
    flags = _OPEN_TREE_CLONE | _AT_EMPTY_PATH | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _check(_libc.syscall(_SYS_open_tree, place, b"", flags), "open_tree")


def rename_new(source: bytes, folder: int, name: bytes) -> bool:
    """Move a path to a name in a folder, where there is none yet; whether that was so."""
    source_path, flags = ctypes.c_char_p(source), ctypes.c_uint(_RENAME_NOREPLACE)
    if _libc.renameat2(-100, source_path, folder, ctypes.c_char_p(name), flags) == 0:
        return True
    if ctypes.get_errno() == errno.EEXIST:
        return False
    _check(-1, os.fsdecode(source))
    raise AssertionError("_check raises")


def move_mount(tree: int, folder: int) -> None:
    """Attach a `clone_tree` at what another descriptor stands for."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _check(_libc.syscall(_SYS_move_mount, tree, b"", folder, b"", flags), "move_mount")


def set_mount_attributes(tree: int, attributes: int, *, recursive: bool) -> None:
    """Add `MOUNT_ATTR_*` to the mount that a descriptor is the root of."""
    attr = _MountAttr(attributes, 0, 0, 0)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    result = _libc.syscall(_SYS_mount_setattr, tree, b"", flags, ctypes.byref(attr), size)
    _check(result, "mount_setattr")


def mount(source: str, target: str, fstype: str, flags: int, options: str) -> None:
    """Paths may be relative to the working directory."""
    paths = (os.fsencode(source), os.fsencode(target))
    result = _libc.mount(*paths, fstype.encode(), ctypes.c_ulong(flags), os.fsencode(options))
    _check(result, f"mount {fstype or source} on {target}")


def receive_mounts() -> None:
    """The host's later mounts come into this namespace; its own do not go out."""
    mount("", "/", "", _MS_REC | _MS_SLAVE, "")


def make_private() -> None:
    """No mount of this namespace is seen in another one, nor the other way round."""
    mount("", "/", "", _MS_REC | _MS_PRIVATE, "")


def unmount(path: str) -> None:
    """Detach a mount and all below it."""
    _check(_libc.umount2(os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW), path)


def pivot_root(path: str) -> None:
    """Make the mount at `path` the root, and let go of all that was beside it."""
    os.chdir(path)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "detach the old root")
    os.chdir("/")


def setns(namespace: int, kind: int) -> None:
    _check(_libc.setns(namespace, kind), "setns")


def unshare(kind: int) -> None:
    _check(_libc.unshare(kind), "unshare")


def syncfs(fd: int) -> None:
    """Wait until all that was written to the file system of a descriptor is on the disk."""
    _check(_libc.syncfs(fd), "syncfs")


def inotify_init() -> int:
    """A new instance, which does not block."""
    return _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")


def inotify_add_watch(instance: int, path: bytes, mask: int) -> int:
    """The number of a path's watch."""
    return _check(_libc.inotify_add_watch(instance, path, mask), os.fsdecode(path))


def inotify_rm_watch(instance: int, number: int) -> None:
    """Nothing happens where the watch has gone already."""
    _libc.inotify_rm_watch(instance, number)


def quotactl_fd(fd: int, command: int, id: int, message: bytes) -> bytes:
    """A call about the quotas of the file system that a file is on; returns what it has written."""
    buffer = ctypes.create_string_buffer(message, len(message))
    arguments = ctypes.c_uint(command), ctypes.c_uint(id), buffer
    _check(int(_libc.syscall(_SYS_quotactl_fd, fd, *arguments)), "quota")
    return buffer.raw


def trim_heap() -> None:
    """Return freed heap pages to the kernel: malloc_trim(3); nothing where libc has no such call.

    What a burst of work has freed stays with the process until it is asked for. Measured after a
    pull of 113 MB: 10 of 49 MB resident.
    """
    with suppress(AttributeError):
        _libc.malloc_trim(0)


def die_with_parent(number: int) -> None:
    """A signal for this process once its parent has ended."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """What this process's children leave behind when they end becomes its child."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def keep_capabilities(kept: frozenset[int]) -> None:
    """Give up every other capability for good, and be closed to debuggers without privileges."""
    low = sum(1 << number for number in kept if number < 32)
    data = (_CapabilityData * 2)(_CapabilityData(low, low, 0), _CapabilityData(0, 0, 0))
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(ctypes.byref(header), data), "capset")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
