"""What an engine whose daemon does not run has, as far as its records alone can say.

Containers outlive the daemon, and what became of them meanwhile only an engine that runs can tell;
volumes and networks may have been changed as well. So records of those are no answer. Images are
what their records say.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.lock import holder

__all__ = ["Rest", "at_rest"]

_DATABASE = "state.db"
_MOVING = ("container", "volume")
_OWN_NETWORKS = frozenset(("bridge", "host", "none"))
_PATIENCE_S = 0.2


@dataclass(frozen=True, slots=True)
class Rest:
    """images: records by ID. names: full references, each with the ID of its image."""

    images: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, str]


def at_rest(config: EngineConfig) -> Rest | None:
    """None for an engine that has to run to tell what it has, or that does run.

    Nothing is changed. Records that cannot be read, the engine itself has to mend.
    """
    path = config.data_root / _DATABASE
    try:
        if not path.exists():
            return Rest({}, {}) if holder(config.data_root) is None else None
        if holder(config.data_root) is not None:
            return None
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_S
        )
        try:
            return _read(connection)
        finally:
            connection.close()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, sqlite3.Error):
        return None


def _read(connection: sqlite3.Connection) -> Rest | None:
    query = "SELECT id, body FROM document WHERE kind = ?"

    def all_of(kind: str) -> dict[str, Any]:
        return {id: json.loads(body) for id, body in connection.execute(query, (kind,))}

    if any(connection.execute(f"{query} LIMIT 1", (kind,)).fetchone() for kind in _MOVING):
        return None
    names = {each["spec"]["name"] for each in all_of("network").values()}
    if not names <= _OWN_NETWORKS:
        return None
    named = {name: str(each["image"]) for name, each in all_of("image_name").items()}
    images = all_of("image")
    if not all(isinstance(each["oci"].get("config") or {}, dict) for each in images.values()):
        return None
    return Rest(images, named)
