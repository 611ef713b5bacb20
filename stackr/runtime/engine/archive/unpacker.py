"""The unpacker process: a layer blob on standard input becomes files in the current directory.

    python -P -m stackr.runtime.engine.archive.unpacker '{"diff_id": "sha256:...", ...}'

Started by `unpack.py`, once per layer, so that the daemon's loop is never blocked, layers unpack
on several cores, and a defect here is confined: the process makes its current directory its root
before it reads the first byte. It answers JSON lines: `{"read": N}` as it goes (compressed bytes),
then `{"done": {...}}`, `{"error": "..."}` where the layer is at fault, or `{"failure": "..."}`
where the host is (a full disk). A second thread decompresses and hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import resource
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from typing import Any, Final

from stackr.runtime.engine.archive.layer import LayerWriter
from stackr.runtime.engine.archive.tarstream import ArchiveError, Limits, TarReader

__all__ = ["main"]

_CHUNK: Final = 1 << 20
_MEMORY_LIMIT: Final = 2 << 30
_READ: Final = 1 << 18
_QUEUED_CHUNKS: Final = 8
_REPORT_EVERY_BYTES: Final = 2 << 20
_ORPHAN_CHECK_ENTRIES: Final = 256
_GZIP_MAGIC: Final = b"\x1f\x8b\x08"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_REFUSED_MAGICS: Final = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x04\x22\x4d\x18": "lz4"}


def main() -> int:
    request = json.loads(sys.argv[1])
    try:
        answer: dict[str, Any] = {"done": _unpack(request)}
    except ArchiveError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"needs more than {_MEMORY_LIMIT >> 20} MiB of memory to unpack"}
    except OSError as error:
        answer = {"failure": str(error.strerror or error)}
    _say(answer)
    return 0


def _unpack(request: dict[str, Any]) -> dict[str, Any]:
    limits = Limits(**request["limits"])
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    head = os.pread(0, 16, 0)
    source = _Source(0)
    stream = _decompressor(head, source)
    _confine()
    reader = _ReaderThread(stream, limits)
    reader.start()
    writer = LayerWriter(TarReader(reader.chunks(), limits), limits)
    writer.run(_Ticker(source).tick)
    diff_id = f"sha256:{reader.sha256.hexdigest()}"
    if diff_id != request["diff_id"]:
        raise ArchiveError(f"diff ID mismatch: want {request['diff_id']}, got {diff_id}")
    return {"size_bytes": writer.size_bytes, "entries": writer.entries, "root": writer.root}


def _confine() -> None:
    """Make the current directory the root, for good; from here on nothing is imported.

    Python looks for modules in the file system when something is imported late: without this, a
    layer could plant one in the new root.
    """
    "".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    os.chroot(".")
    os.chdir("/")
    os.umask(0)


class _Source:
    """Standard input, counted; `position` is read by the main thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.position = 0

    def read(self) -> bytes:
        data = os.read(self._fd, _READ)
        self.position += len(data)
        return data


def _decompressor(head: bytes, source: _Source) -> Iterator[bytes]:
    """By the first bytes, as Docker does: media types are often wrong."""
    if head.startswith(_GZIP_MAGIC):
        return _gunzip(source)
    if head.startswith(_ZSTD_MAGIC) or (head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        return _unzstd()
    for magic, name in _REFUSED_MAGICS.items():
        if head.startswith(magic):
            raise ArchiveError(f"compression is not supported: {name}")
    return iter(source.read, b"")


def _gunzip(source: _Source) -> Iterator[bytes]:
    """Any number of gzip members; never more than one chunk of output in memory at a time."""
    inflate = zlib.decompressobj(wbits=31)
    pending = source.read()
    try:
        while pending:
            output = inflate.decompress(pending, _CHUNK)
            if output:
                yield output
            if inflate.eof:
                pending = inflate.unused_data or source.read()
                if not pending.startswith(_GZIP_MAGIC[:1]):
                    return  # zero padding after the last member, as gzip itself allows
                inflate = zlib.decompressobj(wbits=31)
            else:
                pending = inflate.unconsumed_tail or source.read()
        # What zlib still holds back when the input ended in the middle of a full chunk
        yield from iter(lambda: inflate.decompress(b"", _CHUNK), b"")
    except zlib.error as error:
        raise ArchiveError(f"invalid gzip data: {error}") from error
    if not inflate.eof:
        raise ArchiveError("unexpected end of the gzip data")


def _unzstd() -> Iterator[bytes]:
    """By the `zstd` program, started here, before the process confines itself."""
    try:
        process = subprocess.Popen(
            ["zstd", "-dcq", "--memory=128MB"],
            stdin=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise ArchiveError("compression is not supported: zstd: no such program") from error
    return _piped(process)


def _piped(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None
    try:
        yield from iter(lambda: os.read(process.stdout.fileno(), _CHUNK), b"")  # type: ignore[union-attr]
        if process.wait():
            raise ArchiveError("invalid zstd data")
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


class _ReaderThread(threading.Thread):
    """Decompresses and hashes ahead of the writer, by a few chunks."""

    def __init__(self, stream: Iterator[bytes], limits: Limits) -> None:
        super().__init__(daemon=True)
        self.sha256 = hashlib.sha256()
        self._stream = stream
        self._limits = limits
        self._queue: queue.Queue[bytes | Exception | None] = queue.Queue(_QUEUED_CHUNKS)

    def run(self) -> None:
        total = 0
        try:
            for chunk in self._stream:
                total += len(chunk)
                if total > self._limits.size_bytes:
                    raise ArchiveError(f"more than {self._limits.size_bytes} bytes")
                self.sha256.update(chunk)
                self._queue.put(chunk)
        except (ArchiveError, OSError, MemoryError) as error:
            self._queue.put(error)
        else:
            self._queue.put(None)

    def chunks(self) -> Iterator[bytes]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item


class _Ticker:
    """Reports progress, and ends the process when the daemon that started it is gone."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._parent = os.getppid()
        self._reported = 0
        self._ticks = 0

    def tick(self) -> None:
        self._ticks += 1
        if self._ticks % _ORPHAN_CHECK_ENTRIES == 0 and os.getppid() != self._parent:
            os._exit(1)
        if self._source.position - self._reported >= _REPORT_EVERY_BYTES:
            self._reported = self._source.position
            _say({"read": self._reported})


def _say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
