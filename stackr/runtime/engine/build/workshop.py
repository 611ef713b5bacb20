"""What all builds of an engine share: the cache, the slots, and what executes steps.

A step that two builds want at the same time is executed once; the other waits, and does it itself
where that one fails or is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from stackr.build.address import is_git
from stackr.build.steps import Copy
from stackr.runtime.engine.build.cache import BuildCache, CacheRecord
from stackr.runtime.engine.build.copy_step import Copier
from stackr.runtime.engine.build.remote import Fetched, fetch_file, fetch_repository
from stackr.runtime.engine.build.run_step import Runner
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Workshop"]


class Workshop:
    """platform: the host's. folder: where what is fetched lies while a step needs it."""

    def __init__(
        self,
        snapshots: Overlay,
        cache: BuildCache,
        runner: Runner,
        copier: Copier,
        *,
        folder: Path,
        platform: str,
    ) -> None:
        self.snapshots = snapshots
        self.cache = cache
        self.runner = runner
        self.copier = copier
        self.platform = platform
        self.slots = asyncio.Semaphore(max(2, os.cpu_count() or 1))
        self._folder = folder
        self._running: dict[str, asyncio.Event] = {}

    async def once(
        self,
        key: str,
        make: Callable[[], Awaitable[CacheRecord]],
        *,
        foreign: Callable[[str], Awaitable[CacheRecord | None]],
        may_take: Callable[[CacheRecord], bool],
        skip_cache: bool,
    ) -> tuple[CacheRecord, bool]:
        """The record of a key, and whether it was there already, or with `foreign`.

        may_take: whether one that was there is fit.
        """
        is_made = False
        while key in self._running:
            await self._running[key].wait()
            is_made = True  # for this build as well
        known = self.cache.find(key)
        if known is not None and (is_made or (not skip_cache and may_take(known))):
            return known, True
        done = self._running[key] = asyncio.Event()
        try:
            fetched = None if skip_cache else await foreign(key)
            record = fetched or await make()
            self.cache.put(record)
            return record, fetched is not None
        finally:
            del self._running[key]
            done.set()

    async def fetch(self, address: str, step: Copy) -> Fetched:
        """What an ADD names. Raises InvalidArgument, NotSupported, Unavailable."""
        folder = self._folder / secrets.token_hex(8)
        if is_git(address):
            return await fetch_repository(address, folder, keep_git_dir=step.keep_git_dir)
        return await fetch_file(address, folder, checksum=step.checksum)
