"""A container's upper directory -> a layer: renamed, never compressed; only its digest is read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from stackr.errors import Internal
from stackr.runtime.engine.build import layer_hasher
from stackr.runtime.engine.build.layer_hasher import HashedLayer
from stackr.runtime.engine.build.tidy import MOUNT_STUBS, Content, tidy
from stackr.runtime.engine.linux.child import run_child
from stackr.runtime.engine.snapshot.overlay import Layer, Overlay, RootAttributes

__all__ = ["LayerMaker"]

_THREAD_ENTRIES: Final = 2000
_THREAD_BYTES: Final = 16 << 20
"""Up to here the daemon hashes a layer itself: a process takes 40 ms to start."""


class LayerMaker:
    """Makes layers of what containers have written, on the event loop's thread."""

    def __init__(self, snapshots: Overlay) -> None:
        self._snapshots = snapshots

    async def take(
        self,
        container_id: str,
        base: Sequence[str],
        *,
        stubs: Iterable[str] = (),
        epoch_ns: int | None = None,
    ) -> Layer | None:
        """The changes of a container that has ended, as a layer; None where there are none.

        base: the layers that it stands on. stubs: where the step had something mounted. Nothing is
        left of one that fails. Raises InvalidArgument, Internal for a full disk.
        """
        path = self._snapshots.begin_layer_of(container_id)
        try:
            view = self._snapshots.image_view(base)
            before = view.stat("/")
            content = await asyncio.to_thread(tidy, path, view, (*MOUNT_STUBS, *stubs), epoch_ns)
            if not content.entries and before is not None and _root(content) == _root_of(before):
                await asyncio.to_thread(self._snapshots.abort_layer, path)
                return None
            diff_id = await self._digest(path, content)
        except BaseException as error:
            await asyncio.shield(asyncio.to_thread(self._snapshots.abort_layer, path))
            if isinstance(error, OSError):
                raise Internal(f"layer: cannot be made: {error.strerror or error}") from error
            raise
        return self._snapshots.commit_layer(
            path, diff_id=diff_id, size_bytes=content.files_bytes, root=_root(content)
        )

    async def _digest(self, path: Path, content: Content) -> str:
        if content.entries <= _THREAD_ENTRIES and content.files_bytes <= _THREAD_BYTES:
            return await asyncio.to_thread(_hashed, path)
        answer = await run_child("layer-hasher", layer_hasher.__name__, {}, folder=path)
        if "done" not in answer:
            raise Internal(f"layer: cannot be read: {answer.get('failure') or answer['error']}")
        return str(answer["done"]["diff_id"])


def _root(content: Content) -> RootAttributes:
    return _root_of(content.root)


def _root_of(status: os.stat_result) -> RootAttributes:
    return RootAttributes(status.st_mode & 0o7777, status.st_uid, status.st_gid)


def _hashed(path: Path) -> str:
    layer = HashedLayer()
    layer.add_root(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
    layer.close()
    return layer.diff_id
