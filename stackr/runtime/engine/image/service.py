"""The images of one engine, as the API, containers and builds use them.

A blob or a layer that no image, no container and no running pull needs is removed with the last
image that did; see `retention.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from stackr.errors import NotFound, StackrError
from stackr.registry.digest import digest_of, short_id
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.image.archives import Archives
from stackr.runtime.engine.image.attestation import Statement, attestations
from stackr.runtime.engine.image.commit import Commit, image_config, manifest, pack_layer
from stackr.runtime.engine.image.deletion import Deletion
from stackr.runtime.engine.image.distribution import Distribution
from stackr.runtime.engine.image.history import history_of
from stackr.runtime.engine.image.manifest_summary import ManifestSummary, manifest_summaries
from stackr.runtime.engine.image.model import HistoryEntry, Image, NewImage, StoredImage
from stackr.runtime.engine.image.names import taggable
from stackr.runtime.engine.image.parts import Parts
from stackr.runtime.engine.image.platform import Platform
from stackr.runtime.engine.late_imports import LateImports
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State
from stackr.text import parse_json

__all__ = ["Images"]

_log = logging.getLogger(__name__)

_ImageList = list[Image]  # as `Images.list` takes the name in the class
_History = list[HistoryEntry]


class Images:
    """Used on the event loop's thread. What is done by one part alone is that part's method."""

    def __init__(
        self,
        config: EngineConfig,
        state: State,
        events: EventBus,
        snapshots: Overlay,
        late: LateImports,
    ) -> None:
        self._kept: Callable[[], frozenset[str]] = frozenset
        self._parts = parts = Parts.of(config, state, events, snapshots, late)
        self.content = parts.content
        self.unpacker = parts.unpacker
        self.store = parts.store
        self.retention = parts.retention
        self.packing = parts.packing
        self.archives = Archives(parts)
        distribution, deletion = Distribution(parts), Deletion(parts, self.layers_size)
        self.pull = distribution.pull
        self.push = distribution.push
        self.resolve = distribution.resolve
        self.remote_tags = distribution.remote_tags
        self.log_in = distribution.log_in
        self.registries = distribution.registries
        self.remove = deletion.remove
        self.prune = deletion.prune
        self.tag = parts.store.tag
        snapshots.keep_layers(self._needed_layers)

    async def open(self) -> None:
        """Read the records; unpack again what is missing, drop what nothing refers to.

        The snapshotter is open already.
        """
        await asyncio.to_thread(self.content.open)
        self.store.open()
        for image in self.store:
            await self._restore(image)
        await self.retention.open()
        self._parts.settling.later()

    async def close(self) -> None:
        await self._parts.settling.close()
        await self.retention.close()

    async def _restore(self, image: StoredImage) -> None:
        """Unpack the layers that are missing; an image that cannot be completed is forgotten."""
        for diff_id, digest in zip(image.diff_ids, image.layer_blobs, strict=True):
            if self._parts.snapshots.layer(diff_id) is not None:
                continue
            try:
                if not digest:
                    raise NotFound(f"layer {diff_id}: was built here, and its files are lost")
                await self.unpacker.unpack(self.content.path(digest), diff_id=diff_id)
            except (OSError, StackrError) as error:
                _log.warning("image %s: cannot be restored: %s", short_id(image.id), error)
                self.store.forget(image)
                return

    def get(self, name_or_id: str) -> Image:
        """As `ImageStore.find`."""
        return self.store.find(name_or_id).view()

    def list(self) -> _ImageList:
        """Every image, the newest first."""
        views = [image.view() for image in self.store]
        return sorted(views, key=lambda image: (image.created, image.id), reverse=True)

    def history(self, name_or_id: str) -> _History:
        """How an image was built, the newest step first. Raises NotFound."""
        image = self.store.find(name_or_id)
        below, views = self.store.by_id(image.parent), [image.view()]
        while below is not None:
            views.append(below.view())
            below = self.store.by_id(below.parent)
        return history_of(views, [self.store.layer_size(diff_id) for diff_id in image.diff_ids])

    def attestations(self, name_or_id: str, platform: Platform | None) -> Sequence[Statement]:
        """What attests to an image. Blocking. Raises as `attestation.attestations`."""
        return attestations(self.store.find(name_or_id), self.content, platform)

    def statement(self, statement: Statement) -> bytes:
        """What it says. Blocking. Raises NotFound, Internal."""
        return self.content.read(statement.digest)

    def manifests(self, name_or_id: str) -> Sequence[ManifestSummary]:
        """By which it came. Blocking. Raises as `ImageStore.find`."""
        return manifest_summaries(self.store.find(name_or_id), self.content)

    def layer_sizes(self) -> Mapping[str, int]:
        """Bytes in the unpacked layers, by their diff IDs."""
        return {diff_id: self.store.layer_size(diff_id) for diff_id in self._needed_layers()}

    def layers_size(self) -> int:
        """Bytes in the unpacked layers of all images, each layer once."""
        return sum(self.layer_sizes().values())

    def layer_folders(self, image: Image) -> Sequence[str]:
        """Where its layers are unpacked, base layer first; without those that are lost."""
        found = (diff_id for diff_id in image.diff_ids if self._parts.snapshots.layer(diff_id))
        return [str(self._parts.snapshots.folder(diff_id)) for diff_id in found]

    def has_layer(self, diff_id: str) -> bool:
        """Whether it is unpacked here."""
        return self._parts.snapshots.layer(diff_id) is not None

    def keep_layers(self, needed: Callable[[], frozenset[str]]) -> None:
        """Ask `needed`, too, for diff IDs that are to be kept."""
        self._kept = needed

    def _needed_layers(self) -> frozenset[str]:
        return self.retention.pinned | self._kept() | self.store.diff_ids()

    def check_room(self) -> None:
        """Raises Internal where the disk is full or read-only, before something new is made."""
        self._parts.state.check_room()

    async def commit(self, commit: Commit, *, check: Callable[[], None] = lambda: None) -> Image:
        """Make an image of a container. check: raises where its files may have changed or gone.

        Raises Conflict where the container's image is not whole any more, InvalidArgument for the
        reference; nothing is left of a commit that fails.
        """
        name = taggable(commit.reference) if commit.reference else None
        base = self.store.find(commit.base)
        self.check_room()
        async with self.retention.fetching() as pin:
            pin((*base.blobs, *base.diff_ids))
            await self.packing.pack(base, pin)
            layer = await pack_layer(commit.upper, self.content)
            check()
            blobs = base.layer_blobs
            if layer is not None:
                pin((layer.digest, layer.diff_id))
                await self.unpacker.unpack(self.content.path(layer.digest), diff_id=layer.diff_id)
                blobs = (*blobs, layer.digest)
            config = image_config(base.oci, commit, layer)
            raw = await asyncio.to_thread(manifest, config, blobs, self.content)
            pin((digest_of(config), digest_of(raw)))
            for data in (config, raw):
                await asyncio.to_thread(self.content.write, data, digest=digest_of(data))
            new = NewImage(
                id=digest_of(config),
                oci=parse_json(config),
                layer_blobs=tuple(blobs),
                manifests=(digest_of(raw),),
                names=(name,) if name else (),
                parent=base.id if base.id in self.store else "",
            )
            stored = self.store.add([new])[0]
        self._parts.settling.later()
        self._parts.events.publish("image", "create", stored.id, {"name": stored.id})
        if name is not None:
            self.store.announce("tag", stored, name)
        return stored.view()

    async def add_built(self, config: bytes, names: Sequence[str]) -> Image:
        """Record an image of layers that are unpacked, under these names.

        A layer that was built has no blob until one is wanted. Raises InvalidArgument for a name.
        """
        references = [taggable(name) for name in names]
        oci, id = parse_json(config), digest_of(config)
        await asyncio.to_thread(self.content.write, config, digest=id)
        blobs = self.store.blobs_of_layers()
        new = NewImage(
            id=id,
            oci=oci,
            layer_blobs=tuple(blobs.get(diff_id, "") for diff_id in oci["rootfs"]["diff_ids"]),
            names=tuple(references),
        )
        stored = self.store.add([new])[0]
        self._parts.settling.later()
        for reference in references:
            self.store.announce("tag", stored, reference)
        return stored.view()
