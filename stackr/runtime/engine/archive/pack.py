"""A file or a folder of the view as a tar archive: ustar, with PAX records where it falls short.

Whatever a container does to the tree meanwhile, folders are entered by descriptor and no symlink is
followed. Sockets are left out and times are whole seconds, as Docker has it. Source: POSIX pax
"Interchange Format".
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final, Protocol

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.linux.syscalls import open_at

__all__ = ["FileStatus", "Packer", "header"]

_READ_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_READ_FOLDER: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY
_BUFFER: Final = 1 << 18
_MOST_LINKED: Final = 1 << 20  # files with several names that are remembered
_CAPABILITY: Final = "security.capability"
_TYPES: Final = {
    stat.S_IFREG: tarstream.REGULAR,
    stat.S_IFDIR: tarstream.DIRECTORY,
    stat.S_IFLNK: tarstream.SYMLINK,
    stat.S_IFCHR: tarstream.CHAR_DEVICE,
    stat.S_IFBLK: tarstream.BLOCK_DEVICE,
    stat.S_IFIFO: tarstream.FIFO,
}


class Packer:
    """Writes one archive to a descriptor; call `add` or `add_content` once, then `close`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self._linked: dict[tuple[int, int], bytes] = {}

    def add(self, folder: int, name: bytes, archive_name: bytes) -> None:
        """Add an entry of a folder and all below it, under another name; b"" for none.

        Raises OSError where it cannot be read; what vanishes meanwhile is left out.
        """
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            self._add_other(folder, name, archive_name, status)
            return
        self._add_tree(open_at(folder, name, _READ_FOLDER), archive_name)

    def add_content(self, folder: int, name: bytes) -> None:
        """Add what is in a folder, under its own names, and not the folder itself."""
        inner = open_at(folder, name, _READ_FOLDER)
        try:
            for each in sorted(map(os.fsencode, os.listdir(inner))):
                with contextlib.suppress(FileNotFoundError):
                    self.add(inner, each, each)
        finally:
            os.close(inner)

    def close(self) -> None:
        """Write the end mark and what is held back."""
        self._write(bytes(2 * tarstream.BLOCK))
        self._flush()

    def _add_tree(self, top: int, prefix: bytes) -> None:
        """Depth first, by name; a descriptor for each level, closed here in any case."""
        levels: list[tuple[int, bytes, list[bytes]]] = []
        try:
            levels.append(self._open_level(top, prefix))
            while levels:
                folder, path, names = levels[-1]
                if not names:
                    os.close(levels.pop()[0])
                    continue
                below = self._add_entry(folder, names.pop(), path)
                if below is not None:
                    levels.append(self._open_level(*below))
        finally:
            for folder, _, _ in levels:
                os.close(folder)

    def _open_level(self, folder: int, path: bytes) -> tuple[int, bytes, list[bytes]]:
        try:
            self._write(header(path + b"/", os.fstat(folder), tarstream.DIRECTORY))
            names = sorted(map(os.fsencode, os.listdir(folder)), reverse=True)
        except BaseException:
            os.close(folder)
            raise
        return folder, path + b"/", names

    def _add_entry(self, folder: int, name: bytes, path: bytes) -> tuple[int, bytes] | None:
        """Add one entry; returns it opened where it is a folder."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return open_at(folder, name, _READ_FOLDER), path + name
            self._add_other(folder, name, path + name, status)
        except (FileNotFoundError, NotADirectoryError):
            return None  # gone, or replaced by something else
        return None

    def _add_other(
        self, folder: int, name: bytes, archive_name: bytes, status: os.stat_result
    ) -> None:
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        first = self._first_name(status, archive_name)
        if first is not None:
            self._write(header(archive_name, status, tarstream.HARD_LINK, link=first))
        elif kind == tarstream.SYMLINK:
            target = os.fsencode(os.readlink(name, dir_fd=folder))
            self._write(header(archive_name, status, kind, link=target))
        elif kind == tarstream.REGULAR:
            self._add_file(folder, name, archive_name)
        else:
            self._write(header(archive_name, status, kind))

    def _first_name(self, status: os.stat_result, archive_name: bytes) -> bytes | None:
        """The name under which the archive has this file already."""
        if status.st_nlink < 2:
            return None
        inode = (status.st_dev, status.st_ino)
        if inode not in self._linked:
            if len(self._linked) < _MOST_LINKED:
                self._linked[inode] = archive_name
            return None
        return self._linked[inode]

    def _add_file(self, folder: int, name: bytes, archive_name: bytes) -> None:
        fd = open_at(folder, name, _READ_FILE)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return  # replaced since it was looked at
            size = status.st_size
            xattrs = self._xattrs(fd)
            self._write(header(archive_name, status, tarstream.REGULAR, size=size, xattrs=xattrs))
            self._copy(fd, size)
        finally:
            os.close(fd)

    def _xattrs(self, fd: int) -> dict[str, bytes]:
        """Of a file; as Docker has it, only what it can do."""
        try:
            return {_CAPABILITY: os.getxattr(fd, _CAPABILITY)}
        except OSError:
            return {}

    def _copy(self, fd: int, size: int) -> None:
        """Exactly `size` bytes, as the header says so; zeros for those a file has lost since."""
        left = size
        while left:
            data = os.read(fd, min(_BUFFER, left)) or bytes(min(_BUFFER, left))
            self._write(data)
            left -= len(data)
        self._write(bytes(-size % tarstream.BLOCK))

    def _write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        with memoryview(self._buffer) as view:
            self._emit(view)
        self._buffer.clear()

    def _emit(self, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.write(self._fd, data[done:])


class FileStatus(Protocol):
    """What an entry's header tells of its file; `os.stat_result` has it."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_uid(self) -> int: ...
    @property
    def st_gid(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_rdev(self) -> int: ...


def header(
    name: bytes,
    status: FileStatus,
    kind: bytes,
    *,
    size: int = 0,
    link: bytes = b"",
    xattrs: dict[str, bytes] | None = None,
) -> bytes:
    """The blocks in front of an entry's content: 512 bytes, or more with PAX records."""
    pax = {f"SCHILY.xattr.{key}".encode(): value for key, value in (xattrs or {}).items()}
    seconds = status.st_mtime_ns // 1_000_000_000
    numbers = {
        b"uid": (status.st_uid, 8),
        b"gid": (status.st_gid, 8),
        b"size": (size, 12),
        b"mtime": (seconds, 12),
    }
    fields = {key: _octal(value, width) for key, (value, width) in numbers.items()}
    for key, (value, _) in numbers.items():
        if not fields[key]:
            pax[key], fields[key] = b"%d" % value, b"0"
    for key, text in ((b"path", name), (b"linkpath", link)):
        if len(text) > 100 or not text.isascii():
            pax[key] = text
    is_device = kind in (tarstream.CHAR_DEVICE, tarstream.BLOCK_DEVICE)
    device = status.st_rdev if is_device else 0
    block = _block(name, link, kind, stat.S_IMODE(status.st_mode), fields, device)
    return _pax_blocks(pax) + block if pax else block


def _octal(value: int, width: int) -> bytes:
    """A number field; b"" where the value does not fit."""
    return b"%0*o" % (width - 1, value) if 0 <= value < 8 ** (width - 1) else b""


def _block(
    name: bytes, link: bytes, kind: bytes, mode: int, fields: dict[bytes, bytes], device: int
) -> bytes:
    parts = (
        name[:100].ljust(100, b"\0"),
        b"%07o\0" % mode,
        fields[b"uid"].rjust(7, b"0") + b"\0",
        fields[b"gid"].rjust(7, b"0") + b"\0",
        fields[b"size"].rjust(11, b"0") + b"\0",
        fields[b"mtime"].rjust(11, b"0") + b"\0",
        b" " * 8,
        kind,
        link[:100].ljust(100, b"\0"),
        b"ustar\x0000",
        bytes(64),
        b"%07o\0%07o\0" % (os.major(device), os.minor(device)),
        bytes(167),
    )
    block = b"".join(parts)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax_blocks(records: dict[bytes, bytes]) -> bytes:
    body = b"".join(_record(key, value) for key, value in records.items())
    fields = dict.fromkeys((b"uid", b"gid", b"mtime"), b"0")
    fields[b"size"] = b"%o" % len(body)
    head = _block(b"PaxHeaders/entry", b"", b"x", 0o644, fields, 0)
    return head + body + bytes(-len(body) % tarstream.BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, the length counting itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(b"%d" % rest)
    length = rest + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, key, value)
