"""What attests to an image: in-toto statements, which its index names beside its manifest.

Source: BuildKit, docs/attestations/attestation-storage.md; Docker Engine API, `ImageAttestations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stackr.errors import InvalidArgument, NotFound
from stackr.registry.manifest import Descriptor, Manifest, descriptor, parse_manifest
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.model import StoredImage
from stackr.runtime.engine.image.platform import Platform, choose_manifest

__all__ = [
    "Statement",
    "Whole",
    "attached_to",
    "attestations",
    "attests_to",
    "entries_of",
    "indexes",
    "parts_of",
    "whole",
]

_TYPE: Final = "vnd.docker.reference.type"
_OF: Final = "vnd.docker.reference.digest"
_ATTESTATION: Final = "attestation-manifest"
_PREDICATE: Final = "in-toto.io/predicate-type"
_MOST_STATEMENTS: Final = 64
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Statement:
    """descriptor: as the attestation's manifest has it."""

    descriptor: Mapping[str, Any]
    predicate_type: str

    @property
    def digest(self) -> str:
        return descriptor(self.descriptor, "statement").digest


@dataclass(frozen=True, slots=True)
class Whole:
    """An index all of which is here: one image, and what attests to it. blobs: of the latter."""

    index: Manifest
    attesting: tuple[Manifest, ...]
    blobs: tuple[str, ...]


def entries_of(index: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that are objects."""
    entries = index.get("manifests")
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def attached_to(index: Mapping[str, Any], digest: str) -> Descriptor | None:
    """The manifest of what attests to the one of this digest. Raises InvalidArgument."""
    for entry in entries_of(index):
        if attests_to(entry) == digest:
            return descriptor(entry, "attestation")
    return None


def attests_to(entry: Mapping[str, Any]) -> str:
    """The digest of the manifest that an entry of an index is about; "" for any other entry."""
    notes = entry.get("annotations")
    if not isinstance(notes, Mapping) or notes.get(_TYPE) != _ATTESTATION:
        return ""
    of = notes.get(_OF)
    return of if isinstance(of, str) else ""


def parts_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """The blobs of an attestation: its configuration, and the statements. Raises InvalidArgument,
    for such as are too many, or too large, too.
    """
    what = f"attestation {manifest.digest}"
    layers = manifest.body.get("layers")
    if not isinstance(layers, list) or len(layers) > _MOST_STATEMENTS:
        raise InvalidArgument(f"{what}: malformed, or more than {_MOST_STATEMENTS} statements")
    found = tuple(descriptor(each, what) for each in (manifest.body.get("config"), *layers))
    if sum(each.size_bytes for each in found) > _MOST_BYTES:
        raise InvalidArgument(f"{what}: larger than {_MOST_BYTES >> 20} MiB")
    return found


def attestations(
    image: StoredImage, content: ContentStore, platform: Platform | None
) -> list[Statement]:
    """What attests to an image; platform: of its index, the image's own where it is None.

    Blocking. Raises NotFound for a platform that the index has not, and for statements that are
    not here.
    """
    for index in indexes(image, content):
        digest = _digest_of(index, image, platform)
        entry = attached_to(index.body, digest) if digest else None
        if entry is None:
            continue
        if not content.has(entry.digest):
            raise NotFound(f"attestation {entry.digest} of {digest} is not available locally")
        manifest = parse_manifest(content.read(entry.digest), entry.media_type, entry.digest)
        return list(_statements(manifest))
    return []


def _digest_of(index: Manifest, image: StoredImage, platform: Platform | None) -> str | None:
    if platform is not None:
        chosen = choose_manifest(index.body, platform, name=image.id)
        return descriptor(chosen, index.digest).digest
    named = (entry.get("digest") for entry in entries_of(index.body))
    return next((each for each in named if each in image.manifests), None)


def indexes(image: StoredImage, content: ContentStore) -> Iterable[Manifest]:
    """By which it came, the newest first."""
    for digest in reversed(image.manifests):
        if content.has(digest):
            found = parse_manifest(content.read(digest), "", digest)
            if found.is_index:
                yield found


def _statements(manifest: Manifest) -> Iterable[Statement]:
    for layer in manifest.body["layers"]:
        notes = layer.get("annotations")
        kind = notes.get(_PREDICATE) if isinstance(notes, Mapping) else None
        if isinstance(kind, str) and kind:
            yield Statement(layer, kind)


def whole(image: StoredImage, content: ContentStore, digest: str) -> Whole | None:
    """The index with the manifest of this digest, where nothing else of it is missing here."""
    for index in indexes(image, content):
        named = [descriptor(entry, index.digest) for entry in entries_of(index.body)]
        others = [each for each in named if each.digest != digest]
        if len(others) == len(named) or any(e.digest not in image.attestations for e in others):
            continue
        attesting = tuple(
            parse_manifest(content.read(each.digest), each.media_type, each.digest)
            for each in others
        )
        parts = [part.digest for each in attesting for part in parts_of(each)]
        return Whole(index, attesting, tuple(dict.fromkeys(parts)))
    return None
