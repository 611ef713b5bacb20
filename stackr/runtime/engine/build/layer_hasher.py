"""The layer hasher process: the current directory as a layer, of which only the digest is wanted.

    python -P -m stackr.runtime.engine.build.layer_hasher

Started for what is too much for a thread of the daemon. It makes its directory its root before it
looks at anything, and answers one JSON line: `{"diff_id": "...", "entries": N}`, or
`{"failure": "..."}`.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
from typing import Final

from stackr.runtime.engine.archive.layer_pack import LayerPacker

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


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    os.chroot(".")
    os.chdir("/")
    try:
        layer = HashedLayer()
        layer.add_root(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        layer.close()
        answer: dict[str, object] = {"diff_id": layer.diff_id, "entries": layer.entries}
    except OSError as error:
        answer = {"failure": str(error.strerror or error)}
    except MemoryError:
        answer = {"failure": f"needs more than {_MEMORY_LIMIT >> 20} MiB of memory"}
    os.write(1, json.dumps(answer).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
