"""A folder of the host as a build's context: its tree, without what `.dockerignore` leaves out."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from stackr.build.digests import Digests
from stackr.build.ignore import Ignore, ignore_files, parse_ignore
from stackr.build.tree import File, Tree
from stackr.errors import InvalidArgument

__all__ = ["ignore_of", "read_context"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_DEPTH: Final = 400


def ignore_of(root: Path, dockerfile: str = "Dockerfile") -> Ignore:
    """What the context's own file leaves out; nothing where there is none.

    Raises InvalidArgument where it cannot be read.
    """
    for name in ignore_files(dockerfile):
        place = root / name
        try:
            return parse_ignore(place.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InvalidArgument(f"build context: {place}: {why}") from error
    return Ignore([])


def read_context(root: Path, ignore: Ignore, digests: Digests) -> Tree:
    """The files that a build of this folder can read. Sockets are left out.

    Blocking: a stat a file, and the content of those that `digests` does not know. What vanishes
    meanwhile was not there. Raises InvalidArgument, with the path, for what cannot be read.
    """
    files: dict[str, File] = {}
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidArgument(f"build context: {root}: {(error.strerror or '').lower()}") from error
    _Walk(root, ignore, digests, files).folder(fd, "", 0)
    digests.save()
    return Tree.of(_with_parents(files, root))


class _Walk:
    def __init__(
        self, root: Path, ignore: Ignore, digests: Digests, files: dict[str, File]
    ) -> None:
        self._root = root
        self._ignore = ignore
        self._digests = digests
        self._files = files

    def folder(self, fd: int, prefix: str, depth: int) -> None:
        """Everything in a folder; the descriptor is closed here."""
        try:
            if depth > _MOST_DEPTH:
                raise InvalidArgument(f"build context: {self._root / prefix}: too deep")
            for name in os.listdir(fd):
                self._entry(fd, name, prefix + name, depth)
        finally:
            os.close(fd)

    def _entry(self, fd: int, name: str, path: str, depth: int) -> None:
        is_ignored = bool(self._ignore) and self._ignore.matches(path)
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                if not is_ignored:
                    self._files[path] = File(status.st_mode)
                elif self._ignore.skips_below(path):
                    return
                self.folder(os.open(name, _FOLDER, dir_fd=fd), f"{path}/", depth + 1)
            elif not is_ignored and not stat.S_ISSOCK(status.st_mode):
                self._files[path] = self._file(fd, name, path, status)
        except (FileNotFoundError, NotADirectoryError):
            self._files.pop(path, None)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InvalidArgument(f"build context: {self._root / path}: {why}") from error

    def _file(self, fd: int, name: str, path: str, status: os.stat_result) -> File:
        if stat.S_ISLNK(status.st_mode):
            return File(status.st_mode, os.readlink(name, dir_fd=fd))
        if not stat.S_ISREG(status.st_mode):
            return File(status.st_mode)
        return File(status.st_mode, self._digests.of(path, status, fd, name), status.st_size)


def _with_parents(files: dict[str, File], root: Path) -> dict[str, File]:
    """With the ignored folders of what was taken back in."""
    for path in list(files):
        parent = path.rpartition("/")[0]
        while parent and parent not in files:
            with suppress(FileNotFoundError):
                files[parent] = File((root / parent).lstat().st_mode)
            parent = parent.rpartition("/")[0]
    return files
