"""The layer packer process: the current directory becomes a compressed layer on standard output.

    python -P -m stackr.runtime.engine.archive.layer_packer

Started by `commit.py` in a container's upper directory, which it makes its root before it looks at
anything. It answers one JSON line on standard error: `{"done": {"diff_id", "digest", "entries"}}`,
or `{"failure": "..."}`.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import zlib
from typing import Any, Final

from stackr.runtime.engine.archive.layer_pack import LayerPacker

__all__ = ["main"]

_MEMORY_LIMIT: Final = 1 << 30
_LEVEL: Final = 1  # a registry's bandwidth matters less here than the time that a commit takes
_GZIP: Final = 31
_OUTPUT_FD: Final = 1


class _Layer(LayerPacker):
    """Hashes the archive, compresses it, and hashes that."""

    def __init__(self) -> None:
        super().__init__(_OUTPUT_FD)
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


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _confine()
    try:
        layer = _Layer()
        layer.add_root(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        answer: dict[str, Any] = {"done": layer.finish()}
    except OSError as error:
        answer = {"failure": str(error.strerror or error)}
    except MemoryError:
        answer = {"failure": f"needs more than {_MEMORY_LIMIT >> 20} MiB of memory"}
    os.write(2, json.dumps(answer).encode() + b"\n")
    return 0


def _confine() -> None:
    """Make the current directory the root, for good; from here on nothing is imported."""
    "".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    os.chroot(".")
    os.chdir("/")


if __name__ == "__main__":
    sys.exit(main())
