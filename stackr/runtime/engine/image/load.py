"""Bring the images of an archive here: all of them, or none.

Layers are unpacked, and so verified, from where the archive was taken in. Blobs, records and names
come last, so that a kill at any moment leaves nothing that the next start does not remove.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackr.registry.digest import digest_of
from stackr.runtime.engine.image.commit import manifest
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.layout import ArchivedImage, archived_images
from stackr.runtime.engine.image.platform import Platform
from stackr.runtime.engine.image.progress import LayerProgress, Report
from stackr.runtime.engine.image.retention import Pin
from stackr.runtime.engine.image.spooled import File, spool
from stackr.runtime.engine.image.together import all_or_none
from stackr.runtime.engine.image.unpack import Unpacker
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["Loaded", "loaded", "scratch"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image whose layers are unpacked and whose blobs are stored.

    manifests: digests of its index, where it has one, and its manifest; attestations: of the blobs
    of what attests to it.
    """

    found: ArchivedImage
    config: dict[str, Any]
    manifests: tuple[str, ...]
    layer_blobs: tuple[str, ...]
    attestations: tuple[str, ...]


@asynccontextmanager
async def scratch(content: ContentStore) -> AsyncIterator[Path]:
    """A folder of the store that is gone with the block."""
    folder = await asyncio.to_thread(content.begin_folder)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(remove_tree, folder))


async def loaded(
    archive: AsyncIterator[bytes],
    content: ContentStore,
    unpacker: Unpacker,
    *,
    platform: Platform | None,
    report: Report,
    pin: Pin,
) -> list[Loaded]:
    """The images of an archive, in order.

    Raises InvalidArgument for one that is damaged, hostile or none, NotFound for the platform,
    Internal for a full disk.
    """
    async with scratch(content) as folder:
        spooled = await spool(archive, folder)
        images = await asyncio.to_thread(archived_images, spooled, platform)
        for image in images:
            pin((image.id, *image.diff_ids, *(layer.digest for layer in image.layers)))
        await all_or_none(_unpackings(images, unpacker, report))
        return [await _keep(image, content, pin) for image in images]


def _unpackings(
    images: Iterable[ArchivedImage], unpacker: Unpacker, report: Report
) -> Sequence[Any]:
    """Each layer once, however many images have it."""
    layers = {
        (diff_id, layer.digest): layer
        for image in images
        for diff_id, layer in zip(image.diff_ids, image.layers, strict=True)
    }
    return [
        _unpack(layer, diff_id, unpacker, LayerProgress(report, diff_id, layer.size_bytes))
        for (diff_id, _), layer in layers.items()
    ]


async def _unpack(layer: File, diff_id: str, unpacker: Unpacker, progress: LayerProgress) -> None:
    await unpacker.unpack(layer.path, diff_id=diff_id, on_read=progress.loaded)


async def _keep(image: ArchivedImage, content: ContentStore, pin: Pin) -> Loaded:
    blobs = tuple(layer.digest for layer in image.layers)
    await asyncio.to_thread(_adopt, image.layers, content)
    raw = image.manifest or await asyncio.to_thread(manifest, image.raw, blobs, content)
    attested = tuple(file.digest for file in image.attestation)
    manifests = [each for each in (image.index, raw) if each]
    digests = tuple(map(digest_of, manifests))
    pin((*digests, *attested))
    await asyncio.to_thread(_adopt, image.attestation, content)
    for data in (image.raw, *manifests):
        await asyncio.to_thread(content.write, data, digest=digest_of(data))
    return Loaded(image, dict(image.config), digests, blobs, attested)


def _adopt(layers: Iterable[File], content: ContentStore) -> None:
    for layer in layers:
        if not content.has(layer.digest):
            content.adopt(layer.path, digest=layer.digest)
