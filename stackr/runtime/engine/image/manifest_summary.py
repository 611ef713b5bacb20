"""The manifests of an image: of its index all that are named, and what of each is here.

Source: Docker Engine API, `ImageManifestSummary`; moby, daemon/containerd/image_list.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stackr.errors import StackrError
from stackr.registry.manifest import (
    Manifest,
    descriptor,
    parse_image_manifest,
    parse_manifest,
)
from stackr.runtime.engine.image.attestation import attests_to, entries_of, indexes
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.model import StoredImage

__all__ = ["ATTESTATION", "IMAGE", "ManifestSummary", "manifest_summaries"]

IMAGE: Final = "image"
ATTESTATION: Final = "attestation"
UNKNOWN: Final = "unknown"
_PLATFORM: Final = ("os", "architecture", "variant", "os.version", "os.features")


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """descriptor: as the index has it. available: with all that it names. kind: `image`,
    `attestation` or `unknown`. content_bytes: of what is here. platform: of an image. is_own: it
    is the one of which containers are made. attests_to: the digest of an attestation's manifest.
    """

    descriptor: Mapping[str, Any]
    available: bool
    kind: str
    content_bytes: int
    platform: Mapping[str, Any]
    is_own: bool
    attests_to: str


def manifest_summaries(image: StoredImage, content: ContentStore) -> list[ManifestSummary]:
    """Of the newest index by which it came, or else of its manifest; none where there is neither,
    as of an image that was built here. Blocking.
    """
    for index in indexes(image, content):
        entries = [entry for entry in entries_of(index.body) if _is_descriptor(entry)]
        return [_summary(entry, image, content) for entry in entries]
    for digest in reversed(image.manifests):
        if content.has(digest):
            raw = content.read(digest)
            entry = {
                "mediaType": parse_manifest(raw, "", digest).media_type,
                "digest": digest,
                "size": len(raw),
            }
            return [_summary(entry, image, content)]
    return []


def _summary(
    entry: Mapping[str, Any], image: StoredImage, content: ContentStore
) -> ManifestSummary:
    digest = str(entry.get("digest"))
    found = _manifest(entry, content)
    blobs = set(_children(found)) if found is not None else set()
    here = {blob for blob in blobs if content.has(blob)}
    size = len(found.raw) if found is not None else 0
    of = attests_to(entry)
    kind = ATTESTATION if of else IMAGE if found is None or _is_image(found) else UNKNOWN
    is_own = kind == IMAGE and digest in image.manifests
    return ManifestSummary(
        descriptor=entry,
        available=found is not None and here == blobs,
        kind=kind,
        content_bytes=size + sum(content.size(blob) for blob in here),
        platform=_platform(entry, image if is_own else None) if kind == IMAGE else {},
        is_own=is_own,
        attests_to=of,
    )


def _is_descriptor(entry: Mapping[str, Any]) -> bool:
    try:
        descriptor(entry, "index")
    except StackrError:
        return False
    return True


def _manifest(entry: Mapping[str, Any], content: ContentStore) -> Manifest | None:
    """None where it is not here, or none."""
    try:
        wanted = descriptor(entry, "index")
        return parse_manifest(content.read(wanted.digest), wanted.media_type, wanted.digest)
    except StackrError:
        return None


def _children(manifest: Manifest) -> Iterator[str]:
    """The blobs that it names: of what is malformed, as far as it can be read."""
    layers = manifest.body.get("layers")
    named: Iterable[object] = layers if isinstance(layers, list) else ()
    for part in (manifest.body.get("config"), *named):
        try:
            yield descriptor(part, manifest.digest).digest
        except StackrError:
            continue


def _is_image(manifest: Manifest) -> bool:
    try:
        parse_image_manifest(manifest.body, name=manifest.digest)
    except StackrError:
        return False
    return True


def _platform(entry: Mapping[str, Any], own: StoredImage | None) -> Mapping[str, Any]:
    """As the index says, or else the configuration."""
    told = entry.get("platform")
    if isinstance(told, Mapping):
        return told
    oci = own.oci if own is not None else {}
    return {key: oci[key] for key in _PLATFORM if oci.get(key)}
