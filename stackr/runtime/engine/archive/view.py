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
import sys
from typing import Any, Final

from stackr.runtime.engine.archive import kernel
from stackr.runtime.engine.archive.paths import make_directories

__all__ = ["NAMESPACE_FD", "confine", "enter"]

NAMESPACE_FD: Final = 4

_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_FOWNER, _CAP_FSETID = 0, 1, 3, 4
_CAP_MKNOD, _CAP_SETFCAP = 27, 31
_KEPT: Final = frozenset(
    (_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_FOWNER, _CAP_FSETID, _CAP_MKNOD, _CAP_SETFCAP)
)
_INERT: Final = kernel.MOUNT_ATTR_NODEV | kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NOEXEC
_KERNELS_OWN: Final = ("/proc", "/sys")


def enter(view: dict[str, Any]) -> None:
    """Change to the view; it is private to this process and ends with it.

    view: `joins` (the mount namespace at NAMESPACE_FD), `root` (a mount point in it, "" for its
    root), `binds` (what to mount on top, outer ones first), `read_only` (the root). Raises OSError.
    """
    trees = [(_clone(bind), bind) for bind in view["binds"]]
    if view["joins"]:
        kernel.setns(NAMESPACE_FD, kernel.CLONE_NEWNS)
        kernel.unshare(kernel.CLONE_NEWNS)
        os.close(NAMESPACE_FD)
    kernel.make_private()
    if view["root"]:
        kernel.pivot_root(view["root"])
    else:
        for path in _KERNELS_OWN:
            with contextlib.suppress(OSError):
                kernel.unmount(path)
    for tree, bind in trees:
        _attach(tree, bind)
    _harden(read_only=view["read_only"])


def _clone(bind: dict[str, Any]) -> int:
    tree = kernel.clone_tree(bind["source"], recursive=bind["recursive"])
    if bind["read_only"]:
        recursive = bind["recursive"]
        kernel.set_mount_attributes(tree, kernel.MOUNT_ATTR_RDONLY, recursive=recursive)
    return tree


def _attach(tree: int, bind: dict[str, Any]) -> None:
    """Mount a tree at a path of the container, which is made where it is missing."""
    target = os.fsencode(bind["target"])
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        place = make_directories(-100, target)
    else:
        place = _make_file(target)
    try:
        kernel.move_mount(tree, place)
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
        return kernel.open_at(folder, name, os.O_PATH)
    finally:
        os.close(folder)


def _harden(*, read_only: bool) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kernel.set_mount_attributes(root, _INERT, recursive=True)
        if read_only:
            kernel.set_mount_attributes(root, kernel.MOUNT_ATTR_RDONLY, recursive=False)
    finally:
        os.close(root)


def confine() -> None:
    """From here on nothing is imported, and no right is left but those that copying needs.

    Python looks for modules in the file system when something is imported late: without this, a
    container could plant one in the new root.
    """
    "".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.meta_path.clear()
    os.umask(0)
    kernel.keep_capabilities(_KEPT)
