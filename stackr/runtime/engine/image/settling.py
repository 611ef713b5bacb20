"""New layers reach the disk later, when what they were pulled for has had time to start."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from stackr.errors import StackrError
from stackr.runtime.engine.linux.syscalls import trim_heap
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Settling"]

_log = logging.getLogger(__name__)
_AFTER_S: Final = 5.0


class Settling:
    """Of one engine's layers; used on the event loop's thread."""

    def __init__(self, snapshots: Overlay) -> None:
        self._snapshots = snapshots
        self._task: asyncio.Task[None] | None = None

    def later(self) -> None:
        """Write what is new in a while, and give back the memory that bringing it took."""
        is_due = self._task is None or self._task.done()
        if is_due and self._snapshots.has_unsettled_layers():
            self._task = asyncio.create_task(self._settle())

    async def close(self) -> None:
        """Nothing is lost by it: what is not settled yet is so after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _settle(self) -> None:
        await asyncio.sleep(_AFTER_S)
        await asyncio.to_thread(trim_heap)
        while self._snapshots.has_unsettled_layers():
            try:
                await asyncio.to_thread(self._snapshots.settle)
            except (OSError, StackrError) as error:
                _log.warning("layers: cannot be written to the disk: %s", error)
                return
