"""Pull one image: resolve the name, choose the platform, fetch and unpack the layers.

Layers are independent of each other here (a snapshot per diff ID), so that each is unpacked as
soon as it has arrived, while the others still download. What several pulls need at the same time
is fetched and unpacked once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from stackr.errors import InvalidArgument, NotFound, NotSupported, PermissionDenied, Unauthorized
from stackr.registry.client import Registry
from stackr.registry.manifest import (
    Descriptor,
    ImageManifest,
    Manifest,
    descriptor,
    parse_image_manifest,
)
from stackr.registry.reference import Reference
from stackr.registry.retry import ATTEMPTS
from stackr.registry.transport import Transport
from stackr.runtime.engine.image.attestation import attached_to, parts_of
from stackr.runtime.engine.image.configuration import parse_config
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.fetch import fetch_blob
from stackr.runtime.engine.image.flight import SingleFlight
from stackr.runtime.engine.image.model import RemoteImage
from stackr.runtime.engine.image.platform import (
    Platform,
    check_made_for,
    choose_manifest,
    host_platform,
    platform_of,
)
from stackr.runtime.engine.image.progress import LayerProgress, Report
from stackr.runtime.engine.image.together import all_or_none
from stackr.runtime.engine.image.unpack import Unpacker
from stackr.runtime.engine.snapshot.overlay import Layer, Overlay

__all__ = ["Pulled", "Puller", "describe_remote"]

_log = logging.getLogger(__name__)
_PARALLEL_DOWNLOADS: Final = 4

_LayerEvent = Callable[[LayerProgress], None]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A complete image: every blob in the content store, every layer unpacked.

    digest: of what the name resolved to, the index where there is one. layer_blobs: in the order
    of the configuration's diff IDs. attestations: of the blobs of what attests to it.
    """

    digest: str
    manifest_digest: str
    image_id: str
    config: dict[str, Any]
    layer_blobs: tuple[str, ...]
    attestations: tuple[str, ...] = ()


class Puller:
    """The pulls of one engine."""

    def __init__(
        self,
        content: ContentStore,
        snapshots: Overlay,
        unpacker: Unpacker,
        downloads: Callable[[], int] = lambda: _PARALLEL_DOWNLOADS,
        attempts: Callable[[], int] = lambda: ATTEMPTS,
    ) -> None:
        """downloads: how many layers may come at a time, asked for as each pull begins. attempts:
        of each layer, in a row and in vain.
        """
        self._attempts = attempts
        self._content = content
        self._snapshots = snapshots
        self._unpacker = unpacker
        self._most_downloads = downloads
        self._slots = (0, asyncio.Semaphore(0))
        self._fetches: SingleFlight[str, int, None] = SingleFlight()
        self._layers: SingleFlight[tuple[str, str], _LayerEvent, Layer] = SingleFlight()

    @property
    def _downloads(self) -> asyncio.Semaphore:
        most = self._most_downloads()
        if most != self._slots[0]:
            self._slots = (most, asyncio.Semaphore(most))
        return self._slots[1]

    async def current_digest(self, transport: Transport, reference: Reference) -> str | None:
        """What a tag means in the registry now; None where that takes a whole manifest to know."""
        try:
            return await Registry(transport, reference).head_manifest(reference)
        except (InvalidArgument, NotSupported):
            return None

    async def pull(
        self,
        transport: Transport,
        reference: Reference,
        *,
        platform: Platform | None,
        report: Report,
        pin: Callable[[Iterable[str]], None],
    ) -> Pulled:
        """Bring an image here.

        pin: told of each digest and diff ID before it is relied on. Raises as `Registry` and
        `Unpacker` do; what has arrived stays.
        """
        registry = Registry(transport, reference)
        manifest = top = await registry.manifest(reference)
        if top.is_index:
            manifest = await self._chosen(registry, reference, top, platform or host_platform())
        image = parse_image_manifest(manifest.body, name=reference.familiar)
        layer_blobs = tuple(layer.digest for layer in image.layers)
        pin((top.digest, manifest.digest, image.config.digest, *layer_blobs))
        await self._fetch(transport, registry, image.config, lambda _: None)
        raw = await asyncio.to_thread(self._content.read, image.config.digest)
        config = parse_config(raw, name=reference.familiar)
        if platform is not None:
            check_made_for({"os": "linux", **config}, platform, name=reference.familiar)
        pin(config["rootfs"]["diff_ids"])
        await self._pull_layers(transport, registry, image, config, report)
        for each in (top, manifest):
            await asyncio.to_thread(self._content.write, each.raw, digest=each.digest)
        attested = await self._attestations(transport, registry, reference, top, manifest, pin)
        return Pulled(
            top.digest, manifest.digest, image.config.digest, config, layer_blobs, attested
        )

    async def _attestations(
        self,
        transport: Transport,
        registry: Registry,
        reference: Reference,
        index: Manifest,
        image: Manifest,
        pin: Callable[[Iterable[str]], None],
    ) -> tuple[str, ...]:
        """What the index has of it; an image is of use without, so what is amiss is only told."""
        entry = attached_to(index.body, image.digest) if index.is_index else None
        if entry is None:
            return ()
        try:
            manifest = await registry.manifest(reference.with_digest(entry.digest))
            parts = parts_of(manifest)
            found = (manifest.digest, *(part.digest for part in parts))
            pin(found)
            for part in parts:
                await self._fetch(transport, registry, part, lambda _: None)
        except (InvalidArgument, NotFound, NotSupported) as error:
            _log.warning("image %s: attestation: %s", reference.familiar, error.message)
            return ()
        await asyncio.to_thread(self._content.write, manifest.raw, digest=manifest.digest)
        return found

    async def fetch(
        self, transport: Transport, reference: Reference, layer: Descriptor, diff_id: str
    ) -> None:
        """Bring one layer here, whose blob and diff ID are pinned. Raises as `pull`."""
        registry = Registry(transport, reference)
        progress = LayerProgress(lambda _: None, layer.digest, layer.size_bytes)
        await self._pull_layer(transport, registry, layer, diff_id, progress)

    async def _chosen(
        self, registry: Registry, reference: Reference, index: Manifest, wanted: Platform
    ) -> Manifest:
        name = reference.familiar
        entry = descriptor(choose_manifest(index.body, wanted, name=name), f"index of {name}")
        manifest = await registry.manifest(reference.with_digest(entry.digest))
        if manifest.is_index:
            raise InvalidArgument(f"index of {name}: {entry.digest} is an index in turn")
        return manifest

    async def _pull_layers(
        self,
        transport: Transport,
        registry: Registry,
        image: ImageManifest,
        config: dict[str, Any],
        report: Report,
    ) -> None:
        diff_ids = config["rootfs"]["diff_ids"]
        if len(diff_ids) != len(image.layers):
            raise InvalidArgument(
                f"image config {image.config.digest}: {len(diff_ids)} diff IDs for"
                f" {len(image.layers)} layers"
            )
        unique = dict.fromkeys(zip(diff_ids, image.layers, strict=True))
        pulls: list[tuple[int, Any]] = []
        for diff_id, layer in unique:
            progress = LayerProgress(report, layer.digest, layer.size_bytes)
            if self._snapshots.layer(diff_id) is not None:
                progress.say("Already exists")
                continue
            progress.say("Pulling fs layer")
            pulls.append(
                (layer.size_bytes, self._pull_layer(transport, registry, layer, diff_id, progress))
            )
        # The largest first: the pull ends when the last layer is unpacked
        pulls.sort(key=lambda item: -item[0])
        await all_or_none([pull for _, pull in pulls])

    async def _pull_layer(
        self,
        transport: Transport,
        registry: Registry,
        layer: Descriptor,
        diff_id: str,
        progress: LayerProgress,
    ) -> None:
        async def work(tell: Callable[[_LayerEvent], None]) -> Layer:
            async with transport:
                return await self._fetch_and_unpack(transport, registry, layer, diff_id, tell)

        await self._layers.run((layer.digest, diff_id), work, lambda event: event(progress))

    async def _fetch_and_unpack(
        self,
        transport: Transport,
        registry: Registry,
        layer: Descriptor,
        diff_id: str,
        tell: Callable[[_LayerEvent], None],
    ) -> Layer:
        await self._fetch(
            transport,
            registry,
            layer,
            lambda size: tell(lambda progress: progress.downloaded(size)),
        )
        tell(lambda progress: progress.say("Verifying Checksum"))
        tell(lambda progress: progress.say("Download complete"))
        unpacked = await self._unpacker.unpack(
            self._content.path(layer.digest),
            diff_id=diff_id,
            on_read=lambda size: tell(lambda progress: progress.extracted(size)),
        )
        tell(lambda progress: progress.extracted(layer.size_bytes))
        tell(lambda progress: progress.say("Pull complete"))
        return unpacked

    async def _fetch(
        self,
        transport: Transport,
        registry: Registry,
        blob: Descriptor,
        on_bytes: Callable[[int], None],
    ) -> None:
        async def work(tell: Callable[[int], None]) -> None:
            async with transport, self._downloads:
                await fetch_blob(
                    registry,
                    self._content,
                    digest=blob.digest,
                    size_bytes=blob.size_bytes,
                    on_bytes=tell,
                    attempts=self._attempts(),
                )

        if self._content.has(blob.digest):
            return
        try:
            await self._fetches.run(blob.digest, work, on_bytes)
        except (Unauthorized, PermissionDenied, NotFound):
            # May be the failure of another caller's credentials or repository: once more, ours
            await self._fetches.run(blob.digest, work, on_bytes)


async def describe_remote(transport: Transport, reference: Reference) -> RemoteImage:
    """Look at a manifest, and at a single image's configuration, without keeping either."""
    registry = Registry(transport, reference)
    top = await registry.manifest(reference)
    if top.is_index:
        entries = top.body.get("manifests")
        found = [
            platform_of(entry.get("platform"))
            for entry in (entries if isinstance(entries, list) else ())
            if isinstance(entry, dict)
        ]
    else:
        image = parse_image_manifest(top.body, name=reference.familiar)
        raw = await registry.small_blob(image.config.digest, limit=image.config.size_bytes)
        config = parse_config(raw, name=reference.familiar)
        found = [platform_of({"os": "linux", **config})]
    platforms = tuple(each for each in found if each is not None and each.os != "unknown")
    return RemoteImage(top.digest, top.media_type, len(top.raw), platforms)
