"""The context receiver process: an archive on standard input, its content to one descriptor and the
index of its files to another.

Started for what is too much for a thread of the daemon, whose loop has its hands full with the
connection. The index is JSON: by path, the fields of a `File` and those of its `Place`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from stackr.runtime.engine.archive.decompress import Source, decompressed
from stackr.runtime.engine.archive.process import answer, make_folder_the_root
from stackr.runtime.engine.archive.tarstream import Limits, TarReader
from stackr.runtime.engine.build.received import Receiver

__all__ = ["main"]

_MEMORY_LIMIT: Final = 2 << 30
_BUFFER: Final = 1 << 18


def main(arguments: list[str]) -> None:
    answer(arguments, _receive, memory_bytes=_MEMORY_LIMIT)


def _receive(request: dict[str, Any]) -> dict[str, Any]:
    pieces = decompressed(Source(0))
    make_folder_the_root()
    with (
        open(request["spool"], "wb", buffering=_BUFFER) as spool,
        open(request["index"], "w", encoding="utf-8", errors="surrogateescape") as index,
    ):
        receiver = Receiver(spool, TarReader(pieces, Limits()))
        receiver.run()
        files = {
            path: [file.mode, file.digest, file.size, *receiver.places[path]]
            for path, file in receiver.files.items()
        }
        json.dump(files, index)
    return {"files": len(files)}
