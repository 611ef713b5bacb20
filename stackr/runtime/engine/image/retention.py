"""Blobs and layers that no image needs: kept while a pull does, given back after it has failed.

What a pull that broke off has brought stays for an hour, so that the next one goes on with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from stackr.errors import StackrError, Unavailable
from stackr.runtime.engine.disk import suppress_read_only
from stackr.runtime.engine.image.content import KEPT_S, ContentStore
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Pin", "Retention"]

Pin = Callable[[Iterable[str]], None]
"""Told of each digest and diff ID before it is relied on."""

_log = logging.getLogger(__name__)


class Retention:
    """needed: the digests of the blobs that images have; used on the event loop's thread."""

    def __init__(
        self, content: ContentStore, snapshots: Overlay, needed: Callable[[], frozenset[str]]
    ) -> None:
        self._content = content
        self._snapshots = snapshots
        self._needed = needed
        self._pins: Counter[str] = Counter()
        self._giving: asyncio.Task[None] | None = None

    @property
    def pinned(self) -> frozenset[str]:
        """What running pulls and commits rely on."""
        return frozenset(self._pins)

    async def open(self) -> None:
        """Once the images are known."""
        with suppress_read_only():
            await self.give_back(KEPT_S)
        self._give_back_later()

    async def close(self) -> None:
        if self._giving is not None:
            self._giving.cancel()
            await asyncio.wait([self._giving])

    @asynccontextmanager
    async def fetching(self, *, resumable: bool = True) -> AsyncIterator[Pin]:
        """What the block pins is not removed before it ends; it is given back where the block fails
        for good, and at once where another try would begin anew.
        """
        seen: set[str] = set()
        try:
            with self._pinning(seen) as pin:
                yield pin
        except (Unavailable, asyncio.CancelledError):
            if resumable:
                self._give_back_later()
            else:
                await asyncio.shield(self.withdraw(seen))
            raise
        except (StackrError, OSError):
            await asyncio.shield(self.withdraw(seen))
            raise

    @contextmanager
    def _pinning(self, seen: set[str]) -> Iterator[Pin]:
        pinned: Counter[str] = Counter()

        def pin(digests: Iterable[str]) -> None:
            names = list(digests)
            seen.update(names)
            pinned.update(names)
            self._pins.update(names)

        try:
            yield pin
        finally:
            self._pins -= pinned

    async def withdraw(self, digests: Iterable[str]) -> list[str]:
        """Remove those blobs, and all layers, that nobody needs; returns the layers' diff IDs."""
        released = await self._snapshots.release_layers()
        unneeded = self._content.withdraw(set(digests) - self._needed() - self.pinned)
        await asyncio.to_thread(_unlink_all, unneeded)
        return released

    async def give_back(self, kept_s: float) -> None:
        """Remove what nobody needs and no pull has touched for `kept_s`."""
        await self.withdraw(await self._abandoned(kept_s))

    async def _abandoned(self, kept_s: float) -> list[str]:
        needed = self._needed() | self.pinned
        return await asyncio.to_thread(self._content.abandoned, needed, kept_s=kept_s)

    def _give_back_later(self) -> None:
        if self._giving is None or self._giving.done():
            self._giving = asyncio.create_task(self._until_given_back())

    async def _until_given_back(self) -> None:
        while await self._abandoned(0):
            await asyncio.sleep(KEPT_S)
            try:
                await self.give_back(KEPT_S)
            except OSError as error:
                _log.warning("images: what was pulled in part cannot be removed: %s", error)


def _unlink_all(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
