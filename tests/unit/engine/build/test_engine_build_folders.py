"""What a daemon that was killed, or a damaged disk, has left of builds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackr.runtime.engine.build.entry import Builds
from stackr.runtime.engine.build.folders import BuildFolders
from stackr.runtime.engine.config import EngineConfig


@pytest.mark.parametrize("name", ["build", "build/mounts", "build/contexts"])
async def test_a_file_in_a_folders_place_is_no_obstacle(tmp_path: Path, name: str) -> None:
    config = EngineConfig.at(tmp_path / "data", tmp_path / "run")
    file = config.data_root / name
    file.parent.mkdir(parents=True)
    file.write_text("damage")
    containers: Any = SimpleNamespace(list=list)
    nothing: Any = None
    await Builds(config, nothing, nothing, containers, nothing, nothing).open()
    folders = BuildFolders.of(config)
    for folder in (folders.mounts, folders.contexts):
        folder.mkdir(parents=True)
