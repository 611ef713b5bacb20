"""Images as one archive, in the layouts of `docker save` and of OCI at once.

Blobs are the very ones that are stored, so that an image has the same digests wherever the archive
is loaded. Source: OCI image-spec image-layout.md; moby `daemon/internal/image/tarexport/save.go`.
"""

from __future__ import annotations

import asyncio
import json
import tarfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stackr.registry.reference import Reference
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.model import StoredImage
from stackr.runtime.engine.image.pushable import Pushable

__all__ = ["SavedImage", "archive_of"]

_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SavedImage:
    """names: those that were asked for, with their tags."""

    image: StoredImage
    what: Pushable
    names: list[Reference] = field(default_factory=list)

    @property
    def layers(self) -> Sequence[str]:
        return [layer.digest for layer in self.what.manifest.layers]


async def archive_of(
    images: Sequence[SavedImage], content: ContentStore
) -> AsyncGenerator[bytes, None]:
    """The archive, piece by piece. Raises NotFound for a blob that is missing."""
    for name in ("blobs/", "blobs/sha256/"):
        yield _header(name, 0, folder=True)
    for digest, held in _blobs(images, content).items():
        size = len(held) if isinstance(held, bytes) else held.stat().st_size
        yield _header(_path(digest), size)
        if isinstance(held, bytes):
            yield _padded(held)
            continue
        with await asyncio.to_thread(held.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
        yield bytes(-size % tarfile.BLOCKSIZE)
    for name, value in _descriptions(images):
        data = json.dumps(value, separators=(",", ":")).encode()
        yield _header(name, len(data)) + _padded(data)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _blobs(images: Sequence[SavedImage], content: ContentStore) -> Mapping[str, bytes | Path]:
    blobs: dict[str, bytes | Path] = {}
    for saved in images:
        blobs |= {digest: content.path(digest) for digest in saved.layers}
        blobs[saved.image.id] = content.path(saved.image.id)
        blobs[saved.what.digest] = saved.what.raw
        if (whole := saved.what.whole) is not None:
            blobs |= {digest: content.path(digest) for digest in whole.blobs}
            blobs |= {each.digest: each.raw for each in (*whole.attesting, whole.index)}
    return blobs


def _descriptions(images: Sequence[SavedImage]) -> Iterator[tuple[str, Any]]:
    yield (
        "index.json",
        {
            "schemaVersion": 2,
            "mediaType": _INDEX_TYPE,
            "manifests": [entry for saved in images for entry in _index_entries(saved)],
        },
    )
    yield (
        "manifest.json",
        [
            {
                "Config": _path(saved.image.id),
                "RepoTags": [name.familiar for name in saved.names] or None,
                "Layers": [_path(digest) for digest in saved.layers],
            }
            for saved in images
        ],
    )
    yield "oci-layout", {"imageLayoutVersion": "1.0.0"}


def _index_entries(saved: SavedImage) -> Iterator[dict[str, Any]]:
    """One for each name, as OCI has no other way to say them."""
    oci = saved.image.oci
    platform = {"architecture": oci.get("architecture") or "unknown", "os": oci.get("os", "linux")}
    entry = {
        "mediaType": saved.what.media_type,
        "digest": saved.what.digest,
        "size": len(saved.what.raw),
        "platform": platform | ({"variant": oci["variant"]} if oci.get("variant") else {}),
    }
    if (whole := saved.what.whole) is not None:
        index = whole.index
        entry = {"mediaType": index.media_type, "digest": index.digest, "size": len(index.raw)}
    if not saved.names:
        yield entry
    for name in saved.names:
        annotations = {
            "io.containerd.image.name": str(name),
            "org.opencontainers.image.ref.name": name.tag,
        }
        yield {**entry, "annotations": annotations}


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _header(name: str, size: int, *, folder: bool = False) -> bytes:
    """As of the epoch, so that the same images make the same archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o755 if folder else 0o644
    info.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)
