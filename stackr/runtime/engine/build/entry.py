"""The builder of one engine, which is imported with the first build.

What it stands on is opened with the daemon: the cache, before the images, as it keeps layers; and
what a daemon that was killed has left is removed once the containers are known.
"""

from __future__ import annotations

import asyncio
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from stackr.errors import NotFound
from stackr.runtime.engine.build.cache import BuildCache
from stackr.runtime.engine.build.folders import STEP_LABEL, BuildFolders
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.late_imports import LateImports
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.roots import make_way

if TYPE_CHECKING:
    from stackr.runtime.engine.build.service import Builder
    from stackr.runtime.engine.container.service import Containers
    from stackr.runtime.engine.image.service import Images
    from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Builds"]


class Builds:
    """Used on the event loop's thread."""

    def __init__(
        self,
        config: EngineConfig,
        images: Images,
        snapshots: Overlay,
        containers: Containers,
        cache: BuildCache,
        late: LateImports,
    ) -> None:
        self.cache = cache
        self._late = late
        self._parts = (config, images, snapshots, containers, cache)
        self._builder: Builder | None = None

    async def open(self) -> None:
        """Remove what builds of a daemon that was killed have left."""
        config, images, _, containers, _ = self._parts
        folders = BuildFolders.of(config)
        for folder in (folders.mounts.parent, folders.mounts):
            make_way(folder, stat.S_ISDIR)
        for folder in (folders.contexts, folders.fetched, folders.scratch):
            await asyncio.to_thread(remove_tree, folder)
        for container in containers.list():
            if STEP_LABEL in container.config.labels and container.image_id not in images.store:
                with suppress(NotFound):
                    await containers.remove(container.id, force=True, volumes=True)

    async def builder(self) -> Builder:
        """Imports take a while (networkx). Raises Conflict as `LateImports.module`."""
        if self._builder is None:
            await self._late.module("stackr.runtime.engine.build.service")
        from stackr.runtime.engine.build.service import Builder

        if self._builder is None:
            self._builder = Builder(*self._parts)
        return self._builder
