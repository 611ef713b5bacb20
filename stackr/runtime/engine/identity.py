"""The name of an engine, by which clients tell it from others; made once, and kept in a file."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

from stackr.runtime.engine.roots import make_way

__all__ = ["engine_id"]

_log = logging.getLogger(__name__)


def engine_id(data_root: Path) -> str:
    """As the file has it; where that is gone or damaged, the engine gets another one."""
    path = data_root / "engine-id"
    try:
        return str(uuid.UUID(path.read_text().strip()))
    except FileNotFoundError:
        id = str(uuid.uuid4())
    except (OSError, ValueError):
        id = str(uuid.uuid4())
        _log.warning("%s: is damaged: the engine is %s from now on", path, id)
    new = path.with_suffix(".new")
    try:
        make_way(path)
        make_way(new)
        new.write_text(f"{id}\n")
        new.replace(path)
    except OSError as error:  # a full or read-only disk: it lasts as long as the daemon
        _log.warning("%s: cannot be written: %s", path, error)
    return id
