"""The layer hasher process: its working directory as a layer, of which only the digest is wanted.

Started for what is too much for a thread of the daemon. It makes the directory its root before it
looks at anything.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from stackr.runtime.engine.archive.layer_pack import LayerPacker
from stackr.runtime.engine.archive.process import answer, make_folder_the_root

__all__ = ["HashedLayer", "main"]

_MEMORY_LIMIT: Final = 1 << 30


class HashedLayer(LayerPacker):
    """Packs a layer, writes it nowhere, and knows its digest."""

    def __init__(self) -> None:
        super().__init__(-1)
        self._sha256 = hashlib.sha256()

    def _emit(self, data: memoryview) -> None:
        self._sha256.update(data)

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"


def main(arguments: list[str]) -> None:
    answer(arguments, _hash, memory_bytes=_MEMORY_LIMIT)


def _hash(_: dict[str, Any]) -> dict[str, Any]:
    layer = HashedLayer()
    layer.add_root(make_folder_the_root())
    layer.close()
    return {"diff_id": layer.diff_id}
