"""The unpacker process: a layer blob on standard input becomes files in the current directory.

Started by the image store once per layer, so that the daemon's loop is never blocked, layers unpack
on several cores, and a defect here is confined: the process makes its current directory its root
before it reads the first byte. Its reports are `{"read": N}`, compressed bytes. A second thread
decompresses and hashes.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Iterator
from typing import Any, Final

from stackr.runtime.engine.archive.decompress import Source, decompressed
from stackr.runtime.engine.archive.layer import LayerApplier
from stackr.runtime.engine.archive.process import answer, make_folder_the_root, say
from stackr.runtime.engine.archive.tarstream import ArchiveError, Limits, TarReader

__all__ = ["main"]

_MEMORY_LIMIT: Final = 2 << 30
_QUEUED_CHUNKS: Final = 8
_REPORT_EVERY_BYTES: Final = 2 << 20
_ORPHAN_CHECK_ENTRIES: Final = 256


def main(arguments: list[str]) -> None:
    answer(arguments, _unpack, memory_bytes=_MEMORY_LIMIT)


def _unpack(request: dict[str, Any]) -> dict[str, Any]:
    limits = Limits(**request["limits"])
    source = Source(0)
    stream = decompressed(source)
    root = make_folder_the_root()
    reader = _ReaderThread(stream, limits)
    reader.start()
    layer = LayerApplier(TarReader(reader.chunks(), limits), root, limits)
    layer.run(_Ticker(source).tick)
    diff_id = f"sha256:{reader.sha256.hexdigest()}"
    if request["diff_id"] and diff_id != request["diff_id"]:
        raise ArchiveError(f"diff ID mismatch: want {request['diff_id']}, got {diff_id}")
    return {
        "diff_id": diff_id,
        "size_bytes": layer.size_bytes,
        "entries": layer.entries,
        "root": layer.root,
    }


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

    def __init__(self, source: Source) -> None:
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
            say({"read": self._reported})
