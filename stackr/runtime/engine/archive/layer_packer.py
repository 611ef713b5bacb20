"""The layer packer process: the current directory becomes a compressed layer on a descriptor.

Started by the image store in a container's upper directory, which it makes its root before it looks
at anything.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Final

from stackr.runtime.engine.archive.layer_pack import LayerPacker
from stackr.runtime.engine.archive.process import answer, make_folder_the_root

__all__ = ["main"]

_MEMORY_LIMIT: Final = 1 << 30
_LEVEL: Final = 1  # a registry's bandwidth matters less here than the time that a commit takes
_GZIP: Final = 31


class _Layer(LayerPacker):
    """Hashes the archive, compresses it, and hashes that."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._plain = hashlib.sha256()
        self._compressed = hashlib.sha256()
        self._deflate = zlib.compressobj(_LEVEL, wbits=_GZIP)

    def _emit(self, data: memoryview) -> None:
        self._plain.update(data)
        self._put(self._deflate.compress(data))

    def _put(self, data: bytes) -> None:
        self._compressed.update(data)
        super()._emit(memoryview(data))

    def finish(self) -> dict[str, Any]:
        self.close()
        self._put(self._deflate.flush())
        return {
            "diff_id": f"sha256:{self._plain.hexdigest()}",
            "digest": f"sha256:{self._compressed.hexdigest()}",
            "entries": self.entries,
        }


def main(arguments: list[str]) -> None:
    answer(arguments, _pack, memory_bytes=_MEMORY_LIMIT)


def _pack(request: dict[str, Any]) -> dict[str, Any]:
    layer = _Layer(request["output"])
    layer.add_root(make_folder_the_root())
    return layer.finish()
