"""Where builds keep things, by what survives: nothing but the folders of cache mounts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stackr.runtime.engine.config import EngineConfig

__all__ = ["STEP_LABEL", "BuildFolders"]

STEP_LABEL: Final = "io.stackr.build.step"
"""Of a step's container, whose image is a draft: what has it when the daemon starts, and an image
that nobody knows, is left from a kill. The label alone says nothing, as images may have it."""


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
