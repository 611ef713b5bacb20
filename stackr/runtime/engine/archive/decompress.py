"""The archive of a request as it arrives on standard input: plain, or in gzip, bzip2 or xz.

The kind is told by the first bytes, as Docker does. What comes out is limited by the reader, never
more than a piece of it in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

from stackr.runtime.engine.archive.tarstream import ArchiveError

__all__ = ["chunks"]

_READ: Final = 1 << 18
_PIECE: Final = 1 << 20
_MEMORY_LIMIT: Final = 256 << 20
_REFUSED: Final = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}


def chunks(fd: int) -> Iterator[bytes]:
    """The uncompressed bytes; reads the first ones at once, as what is imported depends on them.

    Raises ArchiveError for a compression that is not supported, here, and for damage, later.
    """
    head = _read_head(fd)
    for magic, name in _REFUSED.items():
        if head.startswith(magic):
            raise ArchiveError(f"compression is not supported: {name}")
    make = _decompressor(head)
    source = _joined(head, fd)
    return source if make is None else _decompressed(source, make)


def _read_head(fd: int) -> bytes:
    head = b""
    while len(head) < 8:
        data = os.read(fd, _READ)
        if not data:
            break
        head += data
    return head


def _joined(head: bytes, fd: int) -> Iterator[bytes]:
    if head:
        yield head
    while data := os.read(fd, _READ):
        yield data


def _decompressor(head: bytes) -> Callable[[], Any] | None:
    if head.startswith(b"\x1f\x8b\x08"):
        import zlib

        return lambda: _Gzip(zlib.decompressobj(wbits=31))
    if head.startswith(b"BZh"):
        import bz2

        return bz2.BZ2Decompressor
    if head.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lambda: lzma.LZMADecompressor(memlimit=_MEMORY_LIMIT)
    return None


class _Gzip:
    """zlib's decompressor with the interface of bz2's and lzma's."""

    def __init__(self, inflate: Any) -> None:
        self._inflate = inflate

    @property
    def eof(self) -> bool:
        return bool(self._inflate.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inflate.unused_data)

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        pending = self._inflate.unconsumed_tail
        return bytes(self._inflate.decompress(pending + data if pending else data, max_length))


def _decompressed(source: Iterator[bytes], make: Callable[[], Any]) -> Iterator[bytes]:
    """Any number of compressed streams after one another; what else follows is dropped."""
    stream, data, is_over = make(), next(source, b""), False
    magic = data[:1]
    while True:
        piece = _step(stream, data)
        data = b""
        if piece:
            yield piece
        if stream.eof:
            data = stream.unused_data or next(source, b"")
            if data[:1] != magic:
                return
            stream = make()
        elif is_over and not piece:
            raise ArchiveError("unexpected end of the compressed data")
        elif stream.needs_input:
            data = next(source, b"")
            is_over = not data


def _step(stream: Any, data: bytes) -> bytes:
    try:
        return bytes(stream.decompress(data, _PIECE))
    except MemoryError:
        raise
    except Exception as error:  # zlib.error, LZMAError: of modules that may not be loaded
        raise ArchiveError(f"damaged compressed data: {error}") from error
