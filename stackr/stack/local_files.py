"""Files of this host as tar archives, and archives of containers written to this host.

Written for `cp` and `watch`. What comes out of a container is hostile until checked: no entry leads
out of the target, through a symlink neither, devices are left out, and nobody gains rights by it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from stackr.errors import InvalidArgument, StackrError

__all__ = ["LeftOut", "add_path", "add_tree", "open_archive", "unpack"]

_MODE: Final = 0o777 | stat.S_ISVTX
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 18

LeftOut = Callable[[str], None]
"""Hears of each entry that is left out."""


@contextmanager
def open_archive(output: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """An archive that is written while it is made."""
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        yield archive


def add_tree(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a path and all below it under `name`; "" for what is below it alone.

    Symlinks stay symlinks, sockets are left out; what vanishes meanwhile, too. Raises OSError.
    """
    pending = [(path, name)]
    while pending:
        path, name = pending.pop()
        try:
            status = path.lstat()
            if name:
                _add(archive, path, name, status)
            if stat.S_ISDIR(status.st_mode):
                below = sorted(os.listdir(path), reverse=True)
                pending += [(path / each, f"{name}/{each}" if name else each) for each in below]
        except FileNotFoundError:
            continue


def add_path(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add one path under `name`, of a folder no content. Raises OSError, but not if it is gone."""
    with contextlib.suppress(FileNotFoundError):
        _add(archive, path, name, path.lstat())


def _add(archive: tarfile.TarFile, path: Path, name: str, status: os.stat_result) -> None:
    if stat.S_ISSOCK(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        entry = archive.gettarinfo(path, name)
        archive.addfile(entry)
        return
    with path.open("rb") as file:
        entry = archive.gettarinfo(arcname=name, fileobj=file)
        entry.type, entry.linkname = (
            tarfile.REGTYPE,
            "",
        )  # a hard link's first name may be elsewhere
        entry.size = os.fstat(file.fileno()).st_size
        archive.addfile(entry, _Whole(file, entry.size))


class _Whole(io.RawIOBase):
    """Exactly so many bytes of a file that may shrink meanwhile: zeros stand for those it lost."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= wanted
        return data + bytes(wanted - len(data))


def unpack(source: IO[bytes], target: Path, *, into: bool, left_out: LeftOut) -> None:
    """Write the one tree of an archive to `target`, or below it under its own name (`into`).

    target: into, a folder; else the path that the tree gets. A folder does not replace anything
    else, nor the other way round. Raises InvalidArgument for an archive that is none or leads out.
    """
    folder, own = (target, None) if into else (target.parent, target.name)
    writer = _Writer(folder, own, left_out)
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for entry in archive:
                writer.write(archive, entry)
            writer.finish()
    except tarfile.TarError as error:
        raise InvalidArgument(f"archive: {error}") from error
    finally:
        writer.close()


class _Writer:
    """Each entry is reached through descriptors of its folders, of which none is a symlink."""

    def __init__(self, folder: Path, name: str | None, left_out: LeftOut) -> None:
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._shown = folder
        self._name = name
        self._left_out = left_out
        self._folders: dict[tuple[str, ...], tarfile.TarInfo] = {}

    def close(self) -> None:
        os.close(self._root)

    def write(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        parts = self._place(entry.name)
        shown = str(self._shown.joinpath(*parts))
        if not parts:
            return
        try:
            with self._folder(parts[:-1]) as folder:
                self._write(archive, entry, parts, folder, shown)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise InvalidArgument(f"{shown}: leads through what is no folder") from error
            raise StackrError(f"{shown}: {(error.strerror or str(error)).lower()}") from error

    def _place(self, name: str) -> tuple[str, ...]:
        """Below the root; the tree's own name gives way to the one that was chosen."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise InvalidArgument(f'archive: "{name}" leads out of the target')
        if self._name is None:
            return tuple(parts)
        is_content = name.startswith("./") or name == "."
        return (self._name, *(parts if is_content else parts[1:]))

    @contextmanager
    def _folder(self, parts: tuple[str, ...]) -> Iterator[int]:
        fd = os.dup(self._root)
        try:
            for part in parts:
                try:
                    inner = os.open(part, _FOLDER, dir_fd=fd)
                except FileNotFoundError:
                    os.mkdir(part, 0o755, dir_fd=fd)
                    inner = os.open(part, _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _write(
        self,
        archive: tarfile.TarFile,
        entry: tarfile.TarInfo,
        parts: tuple[str, ...],
        folder: int,
        shown: str,
    ) -> None:
        name = parts[-1]
        if not self._make_room(folder, name, shown, is_folder=entry.isdir()):
            os.mkdir(name, 0o700, dir_fd=folder) if entry.isdir() else None
        if entry.isdir():
            self._folders[parts] = entry
        elif entry.isreg():
            self._write_file(archive, entry, folder, name)
        elif entry.issym():
            os.symlink(entry.linkname, name, dir_fd=folder)
        elif entry.islnk():
            self._link(entry, folder, name)
        else:
            self._left_out(shown)

    def _make_room(self, folder: int, name: str, shown: str, *, is_folder: bool) -> bool:
        """Whether a folder is there that stays; a file that is there goes."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        there = stat.S_ISDIR(status.st_mode)
        if there != is_folder:
            words = ("non-directory", "directory")
            raise InvalidArgument(
                f'cannot overwrite {words[there]} "{shown}" with {words[is_folder]}'
            )
        if not there:
            os.unlink(name, dir_fd=folder)
        return there

    def _write_file(
        self, archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: int, name: str
    ) -> None:
        content = archive.extractfile(entry)
        assert content is not None
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
        with os.fdopen(fd, "wb") as file:
            while data := content.read(_CHUNK):
                file.write(data)
            file.flush()
            os.fchmod(fd, entry.mode & _MODE)
            os.utime(fd, (entry.mtime, entry.mtime))

    def _link(self, entry: tarfile.TarInfo, folder: int, name: str) -> None:
        parts = self._place(entry.linkname)
        with self._folder(parts[:-1]) as other:
            os.link(parts[-1], name, src_dir_fd=other, dst_dir_fd=folder, follow_symlinks=False)

    def finish(self) -> None:
        """Folders get their modes and times last, as what is written into them changes both."""
        for parts, entry in sorted(self._folders.items(), key=lambda item: -len(item[0])):
            with self._folder(parts) as fd:
                os.fchmod(fd, entry.mode & _MODE)
                os.utime(fd, (entry.mtime, entry.mtime))
