"""Files of a root file system without mounting it: a walk through its stack of directories.

Follows overlayfs: whiteouts and opaque directories hide what is below, directories merge. Symlinks
are resolved inside the stack, as chroot would. Each step opens one component, relative to its
directory and without following links, so that a running container that swaps a directory for a
symlink cannot lead the daemon out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stackr.errors import InvalidArgument
from stackr.runtime.engine.linux.tree import copy_attributes

__all__ = ["LayerStack"]

_MOST_SYMLINKS: Final = 40  # as the kernel
_OPAQUE_XATTR: Final = "trusted.overlay.opaque"
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_DIRECTORY: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_OPEN_NAME: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_LIMIT: Final = 4 << 20
_CHUNK: Final = 1 << 20
_MOST_DEPTH: Final = 400  # of a tree that is copied: one descriptor per level and layer


@dataclass(slots=True)
class _Directory:
    """A merged directory: descriptors of its parts, topmost first."""

    fds: list[int]


@dataclass(slots=True)
class _Found:
    """A name in a merged directory: where its topmost part is, and its attributes."""

    parent_fd: int
    status: os.stat_result


class LayerStack:
    """Directories that overlay each other, topmost first."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = tuple(directories)

    def read(self, path: str, *, limit_bytes: int = _READ_LIMIT) -> bytes | None:
        """The content of the regular file at `path`; None where there is none.

        Raises InvalidArgument for a file of more than `limit_bytes`.
        """
        with ExitStack() as stack:
            place = self._walk(stack, path)
            if place is None or place[1] is None or not stat.S_ISREG(place[1].status.st_mode):
                return None
            name, found = place[2], place[1]
            with _opened(name, found.parent_fd) as fd:
                if os.fstat(fd).st_size > limit_bytes:
                    raise InvalidArgument(f'"{path}": is larger than {limit_bytes} bytes')
                return _read_all(fd, limit_bytes)

    def stat(self, path: str) -> os.stat_result | None:
        """The attributes of what is at `path`, symlinks followed; None where there is nothing."""
        with ExitStack() as stack:
            place = self._walk(stack, path)
            if place is None:
                return None
            directory, found, _ = place
            return found.status if found else os.fstat(directory.fds[0])

    def name_status(self, path: str) -> os.stat_result | None:
        """As `stat`, without following any symlink: of the very name, below real folders."""
        *folders, last = [*reversed(_parts(path))]
        with ExitStack() as stack:
            directory = self._root(stack)
            for part in folders:
                found = _look_up(directory, part)
                if found is None or not stat.S_ISDIR(found.status.st_mode):
                    return None
                directory = _enter(stack, directory, part)
            found = _look_up(directory, last)
            return found.status if found else None

    def list_directory(self, path: str) -> list[str] | None:
        """The names in the directory at `path`, sorted; None where there is no directory."""
        with ExitStack() as stack:
            directory = self._directory_at(stack, path)
            return None if directory is None else sorted(_names(directory))

    def copy_up(self, path: str, target: int) -> bool:
        """Copy the content of the directory at `path` into the one that a descriptor stands for.

        Owners, modes, times and extended attributes are kept, the directory's own included; hard
        links become files of their own. False, and nothing done, where `path` is no directory.
        Blocking, as large as the content. Raises OSError.
        """
        with ExitStack() as stack:
            source = self._directory_at(stack, path)
            if source is None:
                return False
            _copy_directory(source, target, 0)
            return True

    def _directory_at(self, stack: ExitStack, path: str) -> _Directory | None:
        place = self._walk(stack, path)
        return place[0] if place is not None and place[1] is None else None

    def _walk(self, stack: ExitStack, path: str) -> tuple[_Directory, _Found | None, str] | None:
        """Where `path` leads: a merged directory; or one, with the non-directory found in it.

        None where nothing is there. Descriptors are closed with `stack`. Raises InvalidArgument
        for a loop of symlinks.
        """
        root = self._root(stack)
        trail = [root]
        pending = _parts(path)
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                if len(trail) > 1:
                    trail.pop()
                continue
            found = _look_up(trail[-1], part)
            if found is None:
                return None
            mode = found.status.st_mode
            if stat.S_ISLNK(mode):
                links += 1
                if links > _MOST_SYMLINKS:
                    raise InvalidArgument(f'"{path}": too many levels of symbolic links')
                target = os.readlink(part, dir_fd=found.parent_fd)
                if target.startswith("/"):
                    del trail[1:]
                pending += _parts(target)
            elif stat.S_ISDIR(mode):
                trail.append(_enter(stack, trail[-1], part))
            else:
                return (trail[-1], found, part) if not pending else None
        return trail[-1], None, ""

    def _root(self, stack: ExitStack) -> _Directory:
        """Of those that are there: somebody may have removed a running container's own."""
        fds: list[int] = []
        missing: OSError | None = None
        for directory in self._directories:
            try:
                fds.append(os.open(directory, _OPEN_DIRECTORY))
            except OSError as error:
                if error.errno not in _NO_DIRECTORY:
                    raise
                missing = error
            else:
                stack.callback(os.close, fds[-1])
        if missing is not None and not fds:
            raise missing
        return _Directory(fds)


def _parts(path: str) -> list[str]:
    """The components, last first, to be popped."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _lstat(name: str, fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, _OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def _look_up(directory: _Directory, name: str) -> _Found | None:
    for fd in directory.fds:
        status = _lstat(name, fd)
        if status is not None:
            return None if _is_whiteout(status) else _Found(fd, status)
    return None


def _enter(stack: ExitStack, directory: _Directory, name: str) -> _Directory:
    """The merged directory `name` in `directory`; at least its topmost part is there."""
    fds: list[int] = []
    for parent in directory.fds:
        try:
            fd = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                break  # a file, a symlink or a whiteout: it hides what is below
            raise
        stack.callback(os.close, fd)
        fds.append(fd)
        if _is_opaque(fd):
            break
    if not fds:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return _Directory(fds)


def _names(directory: _Directory) -> Iterator[str]:
    """Every visible name, once."""
    seen: set[str] = set()
    for fd in directory.fds:
        with os.scandir(fd) as scan:
            names = [entry.name for entry in scan]
        for name in names:
            if name in seen:
                continue
            seen.add(name)
            status = _lstat(name, fd)
            if status is not None and not _is_whiteout(status):
                yield name


@contextmanager
def _opened(name: str, parent_fd: int) -> Iterator[int]:
    """A regular file for reading; what a container put in its place meanwhile is not opened."""
    with ExitStack() as stack:
        place = os.open(name, _OPEN_NAME, dir_fd=parent_fd)
        stack.callback(os.close, place)
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "is no longer a regular file", name)
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        yield fd


def _read_all(fd: int, limit_bytes: int) -> bytes:
    data = bytearray()
    while len(data) <= limit_bytes and (chunk := os.read(fd, _CHUNK)):
        data += chunk
    return bytes(data)


def _copy_directory(source: _Directory, target: int, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise OSError(errno.ELOOP, "directories are nested too deeply to be copied")
    for name in _names(source):
        found = _look_up(source, name)
        if found is not None:
            _copy_entry(source, found, name, target, depth)
    copy_attributes(source.fds[0], target)


def _copy_entry(source: _Directory, found: _Found, name: str, target: int, depth: int) -> None:
    status = found.status
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        with ExitStack() as stack:
            inner = _enter(stack, source, name)
            made = os.open(name, _OPEN_DIRECTORY, dir_fd=target)
            stack.callback(os.close, made)
            _copy_directory(inner, made, depth + 1)
    elif stat.S_ISREG(status.st_mode):
        _copy_file(found, name, target)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=found.parent_fd), name, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        _set_times(name, status, target)
    elif not stat.S_ISSOCK(status.st_mode):
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
        _set_owner_and_mode(name, status, target)
        _set_times(name, status, target)


def _copy_file(found: _Found, name: str, target: int) -> None:
    with _opened(name, found.parent_fd) as source:
        made = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target
        )
        try:
            while os.sendfile(made, source, None, _CHUNK):
                pass
            copy_attributes(source, made)
        finally:
            os.close(made)


def _set_owner_and_mode(name: str, status: os.stat_result, target: int) -> None:
    """Of what was made there, and of no file that a symlink in its place leads to."""
    made = os.open(name, _OPEN_NAME, dir_fd=target)
    try:
        if stat.S_IFMT(os.fstat(made).st_mode) == stat.S_IFMT(status.st_mode):
            os.chown(f"/proc/self/fd/{made}", status.st_uid, status.st_gid)
            os.chmod(f"/proc/self/fd/{made}", stat.S_IMODE(status.st_mode))
    finally:
        os.close(made)


def _set_times(name: str, status: os.stat_result, target: int) -> None:
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
