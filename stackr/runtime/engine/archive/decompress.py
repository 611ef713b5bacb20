"""What arrives on a descriptor, uncompressed: plain, or in gzip, bzip2, xz or zstd.

The kind is told by the first bytes, as Docker does: media types are often wrong. Never more than a
piece of the output is in memory; how much there may be of it is the reader's to limit.
"""

from __future__ import annotations

import bz2
import lzma
import os
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Final, Protocol

from stackr.runtime.engine.archive.tarstream import ArchiveError

__all__ = ["Source", "decompressed"]

_READ: Final = 1 << 18
_PIECE: Final = 1 << 20
_MEMORY_LIMIT: Final = 256 << 20
_HEAD: Final = 8
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD: Final = ("zstd", "-dcq", "--memory=128MB")
_REFUSED: Final = {b"\x04\x22\x4d\x18": "lz4"}


class _Decompressor(Protocol):
    """What the decompressors of bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Source:
    """A descriptor's bytes; `position`, how many were read, may be looked at by another thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._head = b""
        self.position = 0

    def peek(self) -> bytes:
        """The first bytes, which `read` gives again."""
        while len(self._head) < _HEAD and (data := os.read(self._fd, _READ)):
            self._head += data
        return self._head

    def read(self) -> bytes:
        """Some bytes; none at the end."""
        data, self._head = self._head or os.read(self._fd, _READ), b""
        self.position += len(data)
        return data


def decompressed(source: Source) -> Iterator[bytes]:
    """The uncompressed bytes; what has to be started for it is started at once.

    Raises ArchiveError for a compression that is not supported, here, and for damage, later.
    """
    head = source.peek()
    for magic, name in _REFUSED.items():
        if head.startswith(magic):
            raise ArchiveError(f"compression is not supported: {name}")
    if head.startswith(b"\x1f\x8b\x08"):
        return _streams(source, _Gzip, "gzip")
    if head.startswith(b"BZh"):
        return _streams(source, bz2.BZ2Decompressor, "bzip2")
    if head.startswith(b"\xfd7zXZ\0"):
        return _streams(source, lambda: lzma.LZMADecompressor(memlimit=_MEMORY_LIMIT), "xz")
    if head.startswith(_ZSTD_MAGIC) or (head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        return _through(_started(_ZSTD), source, "zstd")
    return iter(source.read, b"")


class _Gzip:
    """zlib's decompressor with the interface of bz2's and lzma's."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        pending = self._inflate.unconsumed_tail
        return self._inflate.decompress(pending + data if pending else data, max_length)


def _streams(source: Source, make: Callable[[], _Decompressor], name: str) -> Iterator[bytes]:
    """Any number of compressed streams after one another; what else follows is dropped."""
    stream, data, is_over = make(), source.read(), False
    magic = data[:1]
    while True:
        piece = _step(stream, data, name)
        data = b""
        if piece:
            yield piece
        if stream.eof:
            data = stream.unused_data or source.read()
            if data[:1] != magic:
                return  # zero padding after the last stream, as gzip itself allows
            stream = make()
        elif is_over and not piece:
            raise ArchiveError(f"unexpected end of the {name} data")
        elif stream.needs_input:
            data = source.read()
            is_over = not data


def _step(stream: _Decompressor, data: bytes, name: str) -> bytes:
    try:
        return stream.decompress(data, _PIECE)
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
        raise ArchiveError(f"invalid {name} data: {error}") from error


def _started(argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise ArchiveError(f"compression is not supported: {argv[0]}: no such program") from error


def _through(process: subprocess.Popen[bytes], source: Source, name: str) -> Iterator[bytes]:
    """What a program makes of it. It is fed from the first piece on, by a thread of its own: until
    then the process may change its namespaces, which one with threads may not.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    threading.Thread(target=_feed, args=(source, process.stdin), daemon=True).start()
    output = process.stdout.fileno()
    try:
        yield from iter(lambda: os.read(output, _PIECE), b"")
        if process.wait():
            raise ArchiveError(f"invalid {name} data")
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def _feed(source: Source, program: IO[bytes]) -> None:
    with suppress(BrokenPipeError), program:  # it may have refused what it got
        while data := source.read():
            program.write(data)
