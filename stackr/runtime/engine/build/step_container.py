"""The container of one step: made of layers that no image names, labelled, and gone afterwards.

A daemon that was killed in a step finds it at the next start (see `STEP_LABEL`) and removes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from stackr.errors import NotFound
from stackr.runtime.engine.build.folders import STEP_LABEL
from stackr.runtime.engine.container.service import Containers
from stackr.runtime.engine.container.settings.spec import parse_create
from stackr.runtime.engine.image.service import Images

__all__ = ["StepContainers"]


class StepContainers:
    """Makes and removes them."""

    def __init__(self, containers: Containers, images: Images) -> None:
        self.containers = containers
        self._images = images

    @asynccontextmanager
    async def container(
        self, layers: Sequence[str], config: Mapping[str, Any], host_config: Mapping[str, Any]
    ) -> AsyncIterator[str]:
        """A container on these layers that has not been started; its ID.

        Raises InvalidArgument for what the host cannot give.
        """
        with self._images.store.draft(layers) as image:
            body = parse_create(
                {
                    "Cmd": ["/"],
                    **config,
                    "Image": image.id,
                    "Labels": {STEP_LABEL: ""},
                    "HostConfig": {"LogConfig": {"Type": "none"}, **host_config},
                }
            )
            id, _ = await self.containers.create(None, body)
            try:
                yield id
            finally:
                await asyncio.shield(self._remove(id))

    async def _remove(self, id: str) -> None:
        with suppress(NotFound):
            await self.containers.remove(id, force=True, volumes=True)
