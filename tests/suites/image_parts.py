"""The engine's image store on a data root of its own, put together as the daemon does it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.image.service import Images
from stackr.runtime.engine.late_imports import LateImports
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State


@dataclass
class Parts:
    config: EngineConfig
    state: State
    events: EventBus
    snapshots: Overlay
    images: Images

    def leftovers(self) -> list[str]:
        """What is in the folders that are empty while nothing is under way."""
        root = self.config.snapshots_root
        return [str(path) for name in ("new", "trash") for path in (root / name).iterdir()]

    def blobs(self) -> set[str]:
        return {f"sha256:{name}" for name in os.listdir(self.config.content_root / "blobs/sha256")}

    def layers(self) -> set[str]:
        """The folders of the unpacked layers."""
        return set(os.listdir(self.config.snapshots_root / "l"))

    def partials(self) -> dict[str, int]:
        """Bytes of each partial blob, by digest."""
        folder = self.config.content_root / "ingest"
        return {p.name.replace("-", ":", 1): p.stat().st_size for p in folder.iterdir()}

    async def close(self) -> None:
        await self.images.close()
        self.state.close()


async def start_parts(root: Path, **settings: object) -> Parts:
    config = EngineConfig.at(root / "data", root / "exec", **settings)
    config.data_root.mkdir(exist_ok=True)
    state, events = State.open(config.database), EventBus()
    snapshots = Overlay(config, state)
    snapshots.open()
    images = Images(config, state, events, snapshots, LateImports())
    await images.open()
    return Parts(config, state, events, snapshots, images)
