"""How much a container's writable layer may hold: `--storage-opt size=`, by project quotas.

Source: moby, daemon/graphdriver/overlay2/overlay.go, whose texts these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.linux.quota import parse_size, set_quota

__all__ = ["limit_layer", "size_wanted"]

_NONE = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"


def size_wanted(options: Mapping[str, str]) -> int:
    """Bytes; 0 for as many as there is room for. Raises InvalidArgument."""
    size = 0
    for key, text in options.items():
        if key.lower() != "size":
            raise InvalidArgument(f"Unknown option {key}")
        found = parse_size(text)
        if found is None:
            raise InvalidArgument(f"--storage-opt size: invalid size: '{text[:50]}'")
        size = found
    return size


def limit_layer(folder: Path, size_bytes: int) -> None:
    """Let a container's folder, which is empty, and what will be in it hold no more than this.

    Raises InvalidArgument where the file system cannot, OSError.
    """
    try:
        set_quota(folder, size_bytes)
    except NotSupported as error:
        message = f"{_NONE}: {error.message.removeprefix('size: ')}"
        raise InvalidArgument(message, hint=error.hint) from error
