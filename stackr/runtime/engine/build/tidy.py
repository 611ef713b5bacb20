"""What a step has left in its upper directory, made fit to be a layer.

The files and folders that only mounts needed are taken away again, sockets too, and with
SOURCE_DATE_EPOCH no time is later than that. Whatever the step has made of its tree, no symlink is
followed: each folder is opened beneath the root.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stackr.errors import InvalidArgument
from stackr.runtime.engine.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, open_at
from stackr.runtime.engine.snapshot.lookup import LayerStack

__all__ = ["MOUNT_STUBS", "Content", "tidy"]

MOUNT_STUBS: Final = (
    *("/dev/console", "/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"),
    "/.dockerenv",
)
"""What the OCI runtime makes in a container's root to mount on, where it is missing."""
_CONFINED: Final = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPAQUE: Final = "trusted.overlay.opaque"


@dataclass(slots=True)
class Content:
    """entries: beside the root; files_bytes: each inode once; root: attributes of `/`."""

    entries: int
    files_bytes: int
    root: os.stat_result


def tidy(folder: Path, base: LayerStack, stubs: Iterable[str], epoch_ns: int | None) -> Content:
    """stubs: where something was mounted that is not in `base`. Blocking, a stat an entry.

    Raises InvalidArgument for a path that is longer than the system's limit, OSError.
    """
    root = os.open(folder, _FOLDER | os.O_NOFOLLOW)
    try:
        for path in stubs:
            _remove_stub(root, path.strip("/"), base)
        content = _Walk(root, epoch_ns).run()
        _set_time(root, b".", os.fstat(root), epoch_ns)
        return content
    finally:
        os.close(root)


@contextmanager
def _opened(root: int, path: str) -> Iterator[int]:
    fd = open_at(root, os.fsencode(path or "."), _FOLDER, resolve=_CONFINED)
    try:
        yield fd
    finally:
        os.close(fd)


def _remove_stub(root: int, path: str, base: LayerStack) -> None:
    """An empty file or folder, and the folders above it that are empty and were not there, or were
    and have not changed.
    """
    parent, _, name = path.rpartition("/")
    with suppress(OSError), _opened(root, parent) as fd:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=fd)
        elif stat.S_ISREG(status.st_mode) and not status.st_size:
            os.unlink(name, dir_fd=fd)
    while parent:
        above, _, name = parent.rpartition("/")
        with suppress(OSError), _opened(root, above) as fd:
            with _opened(fd, name) as own:
                status, is_opaque = os.fstat(own), _OPAQUE in os.listxattr(own)
            before = base.stat(parent)
            if not is_opaque and (before is None or _is_alike(before, status)):
                os.rmdir(name, dir_fd=fd)
        parent = above


def _is_alike(one: os.stat_result, other: os.stat_result) -> bool:
    facts = [(each.st_mode, each.st_uid, each.st_gid) for each in (one, other)]
    return facts[0] == facts[1]


class _Walk:
    def __init__(self, root: int, epoch_ns: int | None) -> None:
        self._root = root
        self._epoch_ns = epoch_ns
        self._inodes: set[int] = set()
        self._content = Content(0, 0, os.fstat(root))

    def run(self) -> Content:
        pending = [b"."]
        while pending:
            path = pending.pop()
            try:
                fd = open_at(self._root, path, _FOLDER, resolve=_CONFINED)
            except OSError as error:
                shown = os.fsdecode(path)[:200]
                why = (error.strerror or "").lower()
                raise InvalidArgument(f"layer: {shown}: {why}") from error
            try:
                pending += [os.path.join(path, name) for name in self._level(fd)]
            finally:
                os.close(fd)
        return self._content

    def _level(self, fd: int) -> list[bytes]:
        folders = []
        for text in os.listdir(fd):
            name = os.fsencode(text)
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISSOCK(status.st_mode):
                os.unlink(name, dir_fd=fd)
                continue
            self._content.entries += 1
            if stat.S_ISDIR(status.st_mode):
                folders.append(name)
            else:
                self._count(status)
            _set_time(fd, name, status, self._epoch_ns)
        return folders

    def _count(self, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            if status.st_ino in self._inodes:
                return
            self._inodes.add(status.st_ino)
        self._content.files_bytes += status.st_size


def _set_time(fd: int, name: bytes, status: os.stat_result, epoch_ns: int | None) -> None:
    if epoch_ns is not None and status.st_mtime_ns > epoch_ns:
        os.utime(name, ns=(epoch_ns, epoch_ns), dir_fd=fd, follow_symlinks=False)
