"""Paths in the container: found from the root of the view on, by descriptors, without races.

A path is resolved once, by the kernel, to a descriptor of a folder; what is done after that names
one entry of this folder and follows no symlink. Runs in confined processes only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Callable
from typing import Any, Final

from stackr.runtime.engine.linux.syscalls import open_at

__all__ = [
    "Place",
    "find",
    "follow",
    "make_directories",
    "make_directory",
    "open_directory",
    "status_of",
]

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY
_MOST_LINKS: Final = 255
_AT_FDCWD: Final = -100


class Place:
    """A path of a request. `path` is absolute and clean; `name` is its last part, "/" of the root.

    is_folder: the path ended in "/" or "/.", so that a symlink at its end is followed.
    archive_name: how an archive of it calls it: "." where the path ended so.
    """

    def __init__(self, path: str) -> None:
        self.path = posixpath.normpath("/" + path.lstrip("/"))
        self.is_folder = path.endswith(("/", "/.")) or path == "."
        self.name = posixpath.basename(self.path) or "/"
        ends_in_dot = self.is_folder and path.endswith(".") and self.path != "/"
        self.archive_name = b"." if ends_in_dot else os.fsencode(self.name)


def open_directory(folder: int, path: bytes) -> int:
    """A descriptor of a folder, for `dir_fd` only; symlinks are followed."""
    return open_at(folder, path, _FOLDER)


def find(place: Place) -> tuple[int, bytes]:
    """(folder, name) of what a path means; the name is "." where it is that very folder."""
    if place.is_folder or place.path == "/":
        return open_directory(_AT_FDCWD, os.fsencode(place.path)), b"."
    parent, name = posixpath.split(place.path)
    return open_directory(_AT_FDCWD, os.fsencode(parent)), os.fsencode(name)


def status_of(place: Place) -> dict[str, Any]:
    """name, size, mode (as stat(2) has it), mtime_ns, and where a symlink leads in the end."""
    folder, name = find(place)
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)
    return {
        "name": "." if place.archive_name == b"." else place.name,
        "size": status.st_size,
        "mode": status.st_mode,
        "mtime_ns": status.st_mtime_ns,
        "link_target": follow(place.path) if stat.S_ISLNK(status.st_mode) else "",
    }


def follow(path: str) -> str:
    """Where a path leads when all of its symlinks are followed, as far as that goes; for display.

    Raises OSError (ELOOP) after 255 symlinks.
    """
    done, rest = "/", [part for part in reversed(path.split("/")) if part]
    links = 0
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = posixpath.dirname(done)
            continue
        candidate = posixpath.join(done, part)
        try:
            target = os.readlink(candidate)
        except OSError:
            done = candidate
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = "/"
        rest += reversed(target.split("/"))
    return done


def make_directory(folder: int, name: bytes) -> int:
    """A folder in a folder, opened, for `dir_fd` only; root's, and open to all, where it is new."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
    return open_directory(folder, name)


def make_directories(
    folder: int, path: bytes, *, make: Callable[[int, bytes], int] = make_directory
) -> int:
    """As `open_directory`, where what is missing is made first, by a function as the default's."""
    try:
        return open_directory(folder, path or b".")
    except (FileNotFoundError, NotADirectoryError):
        pass
    here = open_directory(folder, b"/" if path.startswith(b"/") else b".")
    try:
        for part in filter(None, path.split(b"/")):
            below = make(here, part)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here
