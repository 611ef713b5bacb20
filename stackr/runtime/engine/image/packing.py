"""The blobs of layers that were built here: made when one is wanted first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stackr.errors import Internal
from stackr.runtime.engine.image.commit import pack_layer
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.model import StoredImage
from stackr.runtime.engine.image.retention import Pin
from stackr.runtime.engine.image.store import ImageStore
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Packing"]


class Packing:
    """Of one engine's images."""

    def __init__(self, store: ImageStore, content: ContentStore, snapshots: Overlay) -> None:
        self._store = store
        self._content = content
        self._snapshots = snapshots

    async def pack(self, image: StoredImage, pin: Pin) -> None:
        """Make the blobs of layers that were built here and never packed."""
        own = zip(image.diff_ids, image.layer_blobs, strict=True)
        blobs = await self.packed(image.diff_ids, pin, {each: blob for each, blob in own if blob})
        whole = tuple(blobs[diff_id] for diff_id in image.diff_ids)
        if whole != image.layer_blobs:
            image.layer_blobs = whole
            self._store.save(image)

    async def packed(
        self, diff_ids: Iterable[str], pin: Pin, known: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """The blobs of layers that are here, which are made where there are none, by diff ID.

        They stay as long as they are pinned. Raises Internal for a full disk.
        """
        blobs = {**self._store.blobs_of_layers(), **(known or {})}
        for diff_id in diff_ids:
            if diff_id in blobs:
                continue
            folder = self._snapshots.folder(diff_id)
            packed = await pack_layer(folder, self._content)
            if packed is None or packed.diff_id != diff_id:
                raise Internal(f"layer {diff_id}: its files have been changed in {folder}")
            pin((packed.digest,))
            blobs[diff_id] = packed.digest
        pin(blobs[diff_id] for diff_id in diff_ids)
        return blobs
