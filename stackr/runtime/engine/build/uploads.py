"""Contexts that have come in for builds to come: kept for a while, or until they are released."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stackr.errors import Conflict, NotFound
from stackr.runtime.engine.build.files import Context, empty_context
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["Uploads"]

_KEPT_S: Final = 600.0


class Uploads:
    """By ID; an unused one goes after 10 minutes, when the next comes in or the daemon starts."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Path, Context]] = {}
        self._seen: dict[str, float] = {}
        self._used: Counter[str] = Counter()

    def add(self, folder: Path, context: Context) -> str:
        """folder: what is removed with it."""
        id = secrets.token_hex(16)
        self._kept[id] = (folder, context)
        self._seen[id] = time.monotonic()
        return id

    def get(self, id: str) -> Context:
        """ "" stands for an empty context. Raises NotFound."""
        if not id:
            return empty_context()
        if id not in self._kept:
            raise NotFound(f"No such build context: {id}")
        return self._kept[id][1]

    @contextmanager
    def using(self, ids: Iterable[str]) -> Iterator[None]:
        """They stay for as long as the block. Raises NotFound."""
        held = tuple(ids)
        for id in held:
            self.get(id)
        self._used.update(held)
        try:
            yield
        finally:
            self._used.subtract(held)
            self._seen |= {id: time.monotonic() for id in held if id in self._kept}

    async def release(self, id: str) -> None:
        """Raises NotFound; Conflict while a build reads it."""
        self.get(id)
        if self._used[id]:
            raise Conflict(f"build context {id}: is in use")
        folder, _ = self._kept.pop(id)
        self._seen.pop(id, None)
        await asyncio.to_thread(remove_tree, folder)

    async def expire(self) -> None:
        """Remove those that nobody has used for long."""
        limit = time.monotonic() - _KEPT_S
        for id in [id for id, seen in self._seen.items() if seen < limit and not self._used[id]]:
            await self.release(id)
