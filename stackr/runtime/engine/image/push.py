"""Push one image: its layers and its configuration, then the manifest, and with it the tag.

Layers that several pushes have in common are sent by each of them; to the same repository they are
there for the second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from stackr.errors import InvalidArgument, NotSupported
from stackr.registry.client import Registry
from stackr.registry.digest import DigestMismatch
from stackr.registry.manifest import as_docker
from stackr.registry.reference import Reference
from stackr.registry.transport import Transport
from stackr.registry.upload import LocalBlob, Sent, send_blob
from stackr.runtime.engine.image.attestation import Whole
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.progress import LayerProgress, Report
from stackr.runtime.engine.image.pushable import Pushable
from stackr.runtime.engine.image.together import all_or_none

__all__ = ["push_image"]

_PARALLEL_UPLOADS: Final = 5


async def push_image(
    transport: Transport,
    reference: Reference,
    image: Pushable,
    content: ContentStore,
    *,
    sources: Mapping[str, Sequence[str]],
    report: Report,
    parallel: int = _PARALLEL_UPLOADS,
) -> Pushable:
    """Have an image, whose blobs are all in the content store, in a repository, under a tag.

    sources: blob -> paths of other repositories of the registry that may have it. Nothing has the
    tag before all is there. Returns what the registry has taken: where it knows no manifests of
    OCI, the same with Docker's media types. Raises as `send_blob` and `put_manifest`.
    """
    registry = Registry(transport, reference, writes=True)
    layers = dict(zip(image.diff_ids, image.manifest.layers, strict=True))
    shown = {
        diff_id: LayerProgress(report, diff_id, layer.size_bytes)
        for diff_id, layer in reversed(layers.items())
    }
    for progress in shown.values():
        progress.say("Preparing")
    slots = asyncio.Semaphore(parallel)

    async def send_layer(diff_id: str, progress: LayerProgress) -> None:
        digest = layers[diff_id].digest
        if slots.locked():
            progress.say("Waiting")
        async with slots:
            sent, source = await send_blob(
                registry,
                _local(content, digest),
                sources=sources.get(digest, ()),
                on_bytes=progress.pushed,
            )
        progress.say(f"{sent.value} from {source}" if sent is Sent.MOUNTED else sent.value)

    await all_or_none(send_layer(diff_id, progress) for diff_id, progress in shown.items())
    await send_blob(registry, _local(content, image.manifest.config.digest))
    if image.whole is not None:
        with suppress(InvalidArgument, NotSupported):  # a registry that takes no such indexes
            return await _tagged_whole(registry, image, image.whole, content, reference.tag or "")
    return await _tagged(registry, image, reference.tag or "")


async def _tagged_whole(
    registry: Registry, image: Pushable, whole: Whole, content: ContentStore, tag: str
) -> Pushable:
    """The index has the tag; what it names is in the registry before."""
    for digest in whole.blobs:
        await send_blob(registry, _local(content, digest))
    await registry.put_manifest(image.raw, image.media_type, image.digest)
    for each in whole.attesting:
        await registry.put_manifest(each.raw, each.media_type, each.digest)
    await registry.put_manifest(whole.index.raw, whole.index.media_type, tag)
    return replace(image, raw=whole.index.raw, media_type=whole.index.media_type, whole=None)


async def _tagged(registry: Registry, image: Pushable, tag: str) -> Pushable:
    try:
        await registry.put_manifest(image.raw, image.media_type, tag)
        return image
    except DigestMismatch:
        raise
    except (InvalidArgument, NotSupported):
        if (docker := as_docker(image.raw)) is None:
            raise
        with suppress(InvalidArgument, NotSupported):
            await registry.put_manifest(*docker, tag)
            return replace(image, raw=docker[0], media_type=docker[1])
        raise


def _local(content: ContentStore, digest: str) -> LocalBlob:
    return LocalBlob(digest, content.size(digest), content.path(digest))
