"""Files that are whole or not there: written beside their place, and renamed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Replace the file at `path` at once; its folder is made. Leaves nothing where it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.write_text(text, encoding="utf-8", errors="replace")
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
