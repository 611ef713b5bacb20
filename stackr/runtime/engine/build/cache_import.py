"""Steps that other machines have done: looked at where this engine's own cache has nothing.

Only what a build comes to is fetched, a layer at a time; a source that cannot be read adds nothing,
and the build goes on and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from stackr.errors import InvalidArgument, NotFound, NotSupported, StackrError
from stackr.registry.auth import RegistryAuth
from stackr.registry.manifest import Descriptor, Manifest, descriptor, parse_manifest
from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.build.cache import CacheRecord
from stackr.runtime.engine.build.cache_document import MOST_BYTES, SharedCache, read_shared
from stackr.runtime.engine.build.files import Context, Found, content_of, read_found
from stackr.runtime.engine.build.lineage import Lineage
from stackr.runtime.engine.build.progress import Notice, Report
from stackr.runtime.engine.build.request import BuildRequest, CacheFrom
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.model import Image
from stackr.runtime.engine.image.platform import choose_manifest, host_platform
from stackr.runtime.engine.image.service import Images
from stackr.runtime.engine.image.together import finish_in_thread

__all__ = ["ForeignCache", "foreign_cache"]

_MOST_MANIFEST: Final = 4 << 20
_INDEX: Final = "index.json"


class _Place(Protocol):
    """One source, by its name."""

    name: str

    async def read(self) -> SharedCache:
        """Raises StackrError."""

    async def fetch(self, layer: Descriptor, diff_id: str) -> None:
        """Have a layer, whose blob and diff ID are pinned, unpacked here. Raises StackrError."""


@dataclass(slots=True)
class _Opened:
    """A source that could be read. is_lost: a layer of it could not be fetched."""

    place: _Place
    shared: SharedCache
    is_lost: bool = False


class ForeignCache:
    """The sources of one build."""

    def __init__(self, images: Images, report: Report) -> None:
        self._images = images
        self._report = report
        self._opened: list[_Opened] = []
        self._blobs: set[str] = set()
        self._names_images = False

    async def open(self, places: Sequence[_Place]) -> None:
        self._names_images = any(isinstance(place, _Here) for place in places)
        found = await asyncio.gather(*map(self._read, places))
        self._opened = [each for each in found if each is not None]

    async def _read(self, place: _Place) -> _Opened | None:
        try:
            return _Opened(place, await place.read())
        except (StackrError, OSError) as error:
            self._tell(place, error)
            return None

    def _tell(self, place: _Place, error: Exception) -> None:
        self._report(Notice(f"[Warning] cache_from {place.name}: {error}"))

    @property
    def lineage(self) -> Lineage | None:
        """Of the sources that are images of this engine; None where none was named."""
        if not self._names_images:
            return None
        places = (each.place for each in self._opened)
        return Lineage([place.history for place in places if isinstance(place, _Here)])

    async def close(self) -> None:
        """Remove the blobs of the layers, which records keep by now."""
        if self._blobs:
            await self._images.retention.withdraw(self._blobs)

    async def find(self, key: str) -> CacheRecord | None:
        """What a source has of a key. Its layer is here, for the caller to keep at once."""
        for each in self._opened:
            record = each.shared.records.get(key)
            if record is None or each.is_lost:
                continue
            try:
                if record.diff_id:
                    await self._fetch(each, record.diff_id)
            except (StackrError, OSError) as error:
                each.is_lost = True
                self._tell(each.place, error)
                continue
            return record
        return None

    async def _fetch(self, source: _Opened, diff_id: str) -> None:
        layer = source.shared.layers[diff_id]
        async with self._images.retention.fetching() as pin:
            pin((layer.digest, diff_id))
            await source.place.fetch(layer, diff_id)
            self._blobs.add(layer.digest)


@asynccontextmanager
async def foreign_cache(
    request: BuildRequest, images: Images, report: Report
) -> AsyncIterator[ForeignCache]:
    found = ForeignCache(images, report)
    await found.open([_place(each, request, images) for each in request.cache_from])
    try:
        yield found
    finally:
        await asyncio.shield(found.close())


def _place(source: CacheFrom, request: BuildRequest, images: Images) -> _Place:
    if source.files is not None:
        return _Folder(source.files, images)
    if source.image:
        return _Here(source.image, images)
    reference = parse_reference(source.ref).with_default_tag()
    return _InRegistry(reference, request.auths, images)


class _Here:
    """An image of this engine, as Docker's classic builder takes them.

    history: known once it was read.
    """

    def __init__(self, name: str, images: Images) -> None:
        self.name = name
        self.history: tuple[dict[str, Any], ...] = ()
        self._images = images

    async def read(self) -> SharedCache:
        """Without steps in it, those in this engine's cache that it is made of are what it adds."""
        image = self._images.get(self.name)
        self.history = image.history
        try:
            return await self._steps(image)
        except NotSupported:
            return SharedCache({}, {})

    async def _steps(self, image: Image) -> SharedCache:
        raw = await asyncio.to_thread(self._images.content.read, image.id)
        layers = [{"digest": diff_id, "size": 0} for diff_id in image.diff_ids]
        manifest = {"config": {"digest": image.id, "size": len(raw)}, "layers": layers}
        return await asyncio.to_thread(read_shared, manifest, raw, name=self.name)

    async def fetch(self, layer: Descriptor, diff_id: str) -> None:
        """It is here for as long as the image is."""
        if not self._images.has_layer(diff_id):
            raise NotFound(f"layer {diff_id}: no longer here")


class _InRegistry:
    """A manifest of steps, or an image that has them in its configuration."""

    def __init__(
        self, reference: Reference, auths: Mapping[str, RegistryAuth], images: Images
    ) -> None:
        self.name = reference.familiar
        self._reference = reference
        self._auth = auths.get(reference.domain)
        self._images = images

    async def read(self) -> SharedCache:
        remote = await self._images.registries()
        async with remote.transport(self._reference, self._auth) as transport:
            registry = remote.registry(transport, self._reference)
            manifest = await registry.manifest(self._reference)
            if manifest.is_index:
                manifest = await registry.manifest(
                    self._reference.with_digest(_chosen(manifest, self.name))
                )
            config = descriptor(manifest.body.get("config"), self.name)
            raw = await registry.small_blob(config.digest, limit=MOST_BYTES)
        return await asyncio.to_thread(read_shared, manifest.body, raw, name=self.name)

    async def fetch(self, layer: Descriptor, diff_id: str) -> None:
        remote = await self._images.registries()
        async with remote.transport(self._reference, self._auth) as transport:
            await remote.puller.fetch(transport, self._reference, layer, diff_id)


def _chosen(index: Manifest, name: str) -> str:
    """The digest of this host's manifest."""
    return descriptor(choose_manifest(index.body, host_platform(), name=name), name).digest


class _Folder:
    """An OCI layout that came with the request. Source: OCI image-spec image-layout.md."""

    name = "folder"

    def __init__(self, files: Context, images: Images) -> None:
        self._files = files
        self._images = images

    async def read(self) -> SharedCache:
        return await asyncio.to_thread(self._read)

    def _read(self) -> SharedCache:
        if self._files.find(_INDEX) is None:
            raise NotFound("there is no cache in it yet")
        index = parse_manifest(self._small(_INDEX, _MOST_MANIFEST), "", _INDEX)
        listed = index.body.get("manifests")
        if not isinstance(listed, list) or not listed:
            raise InvalidArgument(f"{_INDEX}: names no manifest")
        wanted = descriptor(listed[-1], _INDEX).digest
        manifest = parse_manifest(self._small(_blob(wanted), _MOST_MANIFEST), "", wanted)
        config = descriptor(manifest.body.get("config"), self.name).digest
        return read_shared(manifest.body, self._small(_blob(config), MOST_BYTES), name=self.name)

    def _find(self, path: str) -> Found:
        found = self._files.find(path)
        if found is None:
            raise NotFound(f"{path}: no such file")
        return found

    def _small(self, path: str, limit: int) -> bytes:
        found = self._find(path)
        if found.size > limit:
            raise InvalidArgument(f"{path}: is larger than {limit} bytes")
        return read_found(found, limit)

    async def fetch(self, layer: Descriptor, diff_id: str) -> None:
        content = self._images.content
        await finish_in_thread(_ingest, self._find(_blob(layer.digest)), content, layer.digest)
        await self._images.unpacker.unpack(content.path(layer.digest), diff_id=diff_id)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _ingest(found: Found, content: ContentStore, digest: str) -> None:
    """A file into the content store, verified. Blocking."""
    if content.has(digest):
        return
    ingest = content.ingest(digest)
    try:
        ingest.restart()
        for piece in content_of(found):
            ingest.write(piece)
        ingest.commit()
    finally:
        ingest.close()
