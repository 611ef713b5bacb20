"""What a container has changed of its image's files, from its upper directory; blocking.

Source: overlayfs.rst of the kernel; Docker Engine API, "ContainerChanges".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import Final

from stackr.runtime.engine.archive.layer_pack import is_engines_own
from stackr.runtime.engine.snapshot.lookup import LayerStack

__all__ = ["Kind", "differences"]

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Kind(IntEnum):
    """As the API numbers them."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


def differences(upper: Path, base: LayerStack) -> list[tuple[str, Kind]]:
    """Each changed path, sorted. A folder counts as modified with anything in it.

    base: the image's files. What goes while it is looked at is left out. Raises OSError.
    """
    found: dict[str, Kind] = {}
    for path, kind in _walk(upper, base):
        found[path] = kind
        for parent in list(PurePosixPath(path).parents)[:-1]:
            found.setdefault(str(parent), Kind.MODIFIED)
    return sorted(found.items())


def _walk(upper: Path, base: LayerStack) -> Iterator[tuple[str, Kind]]:
    root = os.open(upper, _OPEN)
    try:
        for folder, names, files, fd in os.fwalk(".", dir_fd=root, follow_symlinks=False):
            inside = "/" + folder.lstrip("./")
            for name in (*names, *files):
                path = f"{inside.rstrip('/')}/{name}"
                if is_engines_own(fd, os.fsencode(name), os.fsencode(path.lstrip("/"))):
                    continue
                kind = _kind(fd, name, path, base)
                if kind is not None:
                    yield path, kind
    finally:
        os.close(root)


def _kind(folder: int, name: str, path: str, base: LayerStack) -> Kind | None:
    """None for a folder that is there for what is in it."""
    try:
        own = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISCHR(own.st_mode) and own.st_rdev == 0:
        return Kind.DELETED
    below = base.name_status(path)
    if below is None:
        return Kind.ADDED
    if stat.S_ISDIR(own.st_mode) and stat.S_ISDIR(below.st_mode):
        same = (own.st_mode, own.st_uid, own.st_gid) == (below.st_mode, below.st_uid, below.st_gid)
        return None if same else Kind.MODIFIED
    return Kind.MODIFIED
