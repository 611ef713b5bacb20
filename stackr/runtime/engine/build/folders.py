"""Where builds keep things, by what survives: nothing but the folders of cache mounts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stackr.runtime.engine.config import EngineConfig

__all__ = ["BUILD_LABEL", "BuildFolders"]

BUILD_LABEL: Final = "io.stackr.build"
"""Of a step's container: one that is there when the daemon starts is left from a kill."""


@dataclass(frozen=True, slots=True)
class BuildFolders:
    """mounts: of cache mounts. contexts, fetched: what builds read. scratch: secrets, scripts."""

    mounts: Path
    contexts: Path
    fetched: Path
    scratch: Path

    @classmethod
    def of(cls, config: EngineConfig) -> BuildFolders:
        root = config.data_root / "build"
        return cls(root / "mounts", root / "contexts", root / "fetched", config.exec_root / "build")
