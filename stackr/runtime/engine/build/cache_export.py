"""Steps of a build for other machines: as a manifest in a registry, or as an OCI layout in a tar.

Source: OCI image-spec manifest.md, image-layout.md.
"""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from stackr.errors import InvalidArgument
from stackr.registry.auth import RegistryAuth
from stackr.registry.digest import digest_of
from stackr.registry.manifest import MANIFEST_TYPES, ImageManifest, descriptor
from stackr.registry.reference import parse_reference
from stackr.runtime.engine.build.cache import BuildCache, CacheRecord
from stackr.runtime.engine.build.cache_document import CONFIG_TYPE, cache_config
from stackr.runtime.engine.build.files import Found
from stackr.runtime.engine.build.packing import Item, archive_of
from stackr.runtime.engine.image.commit import layer_descriptor
from stackr.runtime.engine.image.pushable import Pushable, repositories_with
from stackr.runtime.engine.image.retention import Pin
from stackr.runtime.engine.image.service import Images

__all__ = ["Exporter"]

_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class _Packed:
    """config, manifest: their bytes. blobs: of the layers, by digest."""

    config: bytes
    manifest: Mapping[str, Any]
    diff_ids: tuple[str, ...]

    @property
    def raw(self) -> bytes:
        return json.dumps(self.manifest, separators=(",", ":")).encode()


class Exporter:
    """Of one engine; used on the event loop's thread."""

    def __init__(self, images: Images, cache: BuildCache) -> None:
        self._images = images
        self._cache = cache

    def records(self, keys: Iterable[str]) -> list[CacheRecord]:
        """Those that are remembered of the keys, without what cache mounts keep."""
        found = (self._cache.find(key) for key in dict.fromkeys(keys))
        return [each for each in found if each is not None and each.kind != "exec.cachemount"]

    async def push(
        self, ref: str, records: Sequence[CacheRecord], auths: Mapping[str, RegistryAuth]
    ) -> str:
        """Into a registry, under a tag; returns the digest. Raises as a push."""
        name = parse_reference(ref).with_default_tag()
        if name.digest:
            raise InvalidArgument(f"cache_to: {ref}: a tag is expected, not a digest")
        async with self._packed(records) as packed:
            manifest = ImageManifest(
                descriptor(packed.manifest["config"], ref),
                tuple(descriptor(each, ref) for each in packed.manifest["layers"]),
            )
            what = Pushable(manifest, packed.raw, MANIFEST_TYPES[0], packed.diff_ids)
            remote = await self._images.registries()
            async with remote.transport(name, auths.get(name.domain)) as transport:
                await remote.push(
                    transport,
                    name,
                    what,
                    self._images.content,
                    sources=repositories_with(self._images.store, name),
                    report=lambda _: None,
                )
        return what.digest

    async def archive(self, keys: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """An OCI layout of what is remembered of these keys, as a tar archive."""
        async with self._packed(self.records(keys)) as packed:
            pieces = archive_of(self._items(packed))
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece

    def _items(self, packed: _Packed) -> Iterator[Item]:
        raw = packed.raw
        entry = {"mediaType": MANIFEST_TYPES[0], "digest": digest_of(raw), "size": len(raw)}
        index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [entry]}
        yield _small("oci-layout", _LAYOUT)
        for layer in packed.manifest["layers"]:
            path = self._images.content.path(layer["digest"])
            found = Found(stat.S_IFREG | 0o644, 0, str(path), 0, layer["size"])
            yield Item(_blob(layer["digest"]), found)
        yield _small(_blob(digest_of(packed.config)), packed.config)
        yield _small(_blob(digest_of(raw)), raw)
        yield _small("index.json", json.dumps(index).encode())

    @asynccontextmanager
    async def _packed(self, records: Sequence[CacheRecord]) -> AsyncIterator[_Packed]:
        """What is sent; its blobs are in the content store for as long as the block, however it
        ends.
        """
        config, diff_ids = cache_config(records)
        pinned: set[str] = set()
        with self._cache.holding_layers(diff_ids):
            try:
                async with self._images.retention.fetching(resumable=False) as pin:
                    yield await self._pack(config, diff_ids, pinned, pin)
            finally:
                await asyncio.shield(self._images.retention.withdraw(pinned))

    async def _pack(
        self, config: bytes, diff_ids: tuple[str, ...], pinned: set[str], pin: Pin
    ) -> _Packed:
        """pinned: is given the digests of all that is made."""
        content = self._images.content

        def note(digests: Iterable[str]) -> None:
            new = set(digests)
            pinned.update(new)
            pin(new)

        blobs = await self._images.packing.packed(diff_ids, note)
        digests = [blobs[diff_id] for diff_id in diff_ids]
        note([digest_of(config)])
        await asyncio.to_thread(content.write, config, digest=digest_of(config))
        made = await asyncio.to_thread(
            lambda: [layer_descriptor(digest, content) for digest in digests]
        )
        head = {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES[0],
            "config": head,
            "layers": made,
        }
        return _Packed(config, manifest, diff_ids)


def _small(name: str, data: bytes) -> Item:
    return Item(name, Found(stat.S_IFREG | 0o644, 0, size=len(data)), data)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"
