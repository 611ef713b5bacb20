"""Layers -> snapshots: one confined process per layer, as many at a time as there are cores.

The blob is complete and verified before a process sees it; the process verifies the diff ID.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stackr.errors import Internal, InvalidArgument
from stackr.runtime.engine.archive import unpacker
from stackr.runtime.engine.archive.tarstream import Limits
from stackr.runtime.engine.linux.child import run_child
from stackr.runtime.engine.snapshot.overlay import Layer, Overlay, RootAttributes

__all__ = ["Unpacker"]


class Unpacker:
    """Unpacks verified layer blobs into a snapshotter."""

    def __init__(self, snapshots: Overlay, limits: Limits | None = None) -> None:
        self._snapshots = snapshots
        self._limits = limits or Limits()
        self._slots = asyncio.Semaphore(max(2, os.cpu_count() or 1))

    async def unpack(
        self, blob: Path, *, diff_id: str, on_read: Callable[[int], None] | None = None
    ) -> Layer:
        """The layer of `diff_id`, unpacked from `blob`, unless it is there already.

        diff_id: "" where it is not known yet.
        on_read: called with the bytes of the blob read so far. Raises InvalidArgument for an
        archive that is damaged, hostile or not what `diff_id` says, Internal where the host fails
        (a full disk); nothing is left of it then, nor after a cancellation.
        """
        async with self._slots:
            present = self._snapshots.layer(diff_id)
            if present is not None:
                return present
            target = self._snapshots.begin_layer()
            try:
                done = await self._run(blob, target, diff_id, on_read)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(self._snapshots.abort_layer, target))
                raise
            root = RootAttributes(**done["root"]) if done["root"] else None
            return self._snapshots.commit_layer(
                target, diff_id=done["diff_id"], size_bytes=done["size_bytes"], root=root
            )

    async def _run(
        self, blob: Path, target: Path, diff_id: str, on_read: Callable[[int], None] | None
    ) -> dict[str, Any]:
        stdin = os.open(blob, os.O_RDONLY | os.O_CLOEXEC)
        try:
            answer = await run_child(
                "unpacker",
                unpacker.__name__,
                {"diff_id": diff_id, "limits": asdict(self._limits)},
                folder=target,
                stdin=stdin,
                on_report=lambda report: on_read(report["read"]) if on_read else None,
            )
        finally:
            os.close(stdin)
        what = f"layer {diff_id}" if diff_id else "archive"
        if "failure" in answer:
            reason = f"{target.parent}: {answer['failure']}"
            raise Internal(f"{what}: cannot be unpacked: {reason}")
        if "error" in answer:
            raise InvalidArgument(f"{what}: {answer['error']}")
        done: dict[str, Any] = answer["done"]
        return done
