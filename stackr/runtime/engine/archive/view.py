"""What the confined process sees as its root: a container's files, with its volumes in place.

Of a running container, its own mounts, copied; of one that is not running, its root file system and
the volumes and files that its next start would mount. The old root is let go of before the first
path of a request is looked at, so that no symlink in the container leads out, and devices cannot
be opened. The rights that remain are those of writing files.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from typing import Any, Final

from stackr.runtime.engine.archive.paths import make_directories
from stackr.runtime.engine.archive.process import forbid_imports
from stackr.runtime.engine.linux import syscalls
from stackr.runtime.engine.linux.subpath import open_subpath, subpath_failure

__all__ = ["NAMESPACE_FD", "SourceError", "confine", "enter"]

NAMESPACE_FD: Final = 4

_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_FOWNER, _CAP_FSETID = 0, 1, 3, 4
_CAP_MKNOD, _CAP_SETFCAP = 27, 31
_KEPT: Final = frozenset(
    (_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_FOWNER, _CAP_FSETID, _CAP_MKNOD, _CAP_SETFCAP)
)
_INERT: Final = syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC
_KERNELS_OWN: Final = ("/proc", "/sys")


class SourceError(Exception):
    """What is to be mounted cannot be reached; the message says why."""


def enter(view: dict[str, Any]) -> None:
    """Change to the view; it is private to this process and ends with it.

    view: `joins` (the mount namespace at NAMESPACE_FD), `root` (a mount point in it, "" for its
    root), `binds` (what to mount on top, outer ones first), `read_only` (the root). Raises OSError
    and SourceError.
    """
    trees = [(_clone(bind), bind) for bind in view["binds"]]
    if view["joins"]:
        syscalls.setns(NAMESPACE_FD, syscalls.CLONE_NEWNS)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        os.close(NAMESPACE_FD)
    syscalls.make_private()
    if view["root"]:
        syscalls.pivot_root(view["root"])
    else:
        for path in _KERNELS_OWN:
            with contextlib.suppress(OSError):
                syscalls.unmount(path)
    for tree, bind in trees:
        _attach(tree, bind)
    _harden(read_only=view["read_only"])


def _clone(bind: dict[str, Any]) -> int:
    place = _open_source(bind["source"], bind["subpath"])
    try:
        tree = syscalls.clone_tree(place, recursive=bind["recursive"])
    finally:
        os.close(place)
    if bind["read_only"]:
        recursive = bind["recursive"]
        syscalls.set_mount_attributes(tree, syscalls.MOUNT_ATTR_RDONLY, recursive=recursive)
    return tree


def _open_source(source: str, subpath: str) -> int:
    try:
        if subpath:
            return open_subpath(source, subpath, os.O_PATH)
        return os.open(source, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if not subpath and isinstance(error, FileNotFoundError):
            raise SourceError(f"bind source path does not exist: {source}") from error
        raise SourceError(subpath_failure(source, subpath, error.errno or 0)) from error


def _attach(tree: int, bind: dict[str, Any]) -> None:
    """Mount a tree at a path of the container, which is made where it is missing."""
    target = os.fsencode(bind["target"])
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        place = make_directories(-100, target)
    else:
        place = _make_file(target)
    try:
        syscalls.move_mount(tree, place)
    finally:
        os.close(place)
        os.close(tree)


def _make_file(target: bytes) -> int:
    parent, name = posixpath.split(target)
    folder = make_directories(-100, parent)
    try:
        with contextlib.suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=folder))
        return syscalls.open_at(folder, name, os.O_PATH)
    finally:
        os.close(folder)


def _harden(*, read_only: bool) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.set_mount_attributes(root, _INERT, recursive=True)
        if read_only:
            syscalls.set_mount_attributes(root, syscalls.MOUNT_ATTR_RDONLY, recursive=False)
    finally:
        os.close(root)


def confine() -> None:
    """From here on no right is left but those that copying needs."""
    forbid_imports()
    os.umask(0)
    syscalls.keep_capabilities(_KEPT)
