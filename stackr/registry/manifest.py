"""Manifests and indexes: their media types, and what they say, checked before it is relied on.

Source: OCI image-spec manifest.md and image-index.md; Docker's image manifest V2, schema 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stackr.errors import InvalidArgument, NotSupported
from stackr.registry.digest import is_digest
from stackr.text import parse_json, visible

__all__ = [
    "INDEX_TYPES",
    "MANIFEST_TYPES",
    "Descriptor",
    "ImageManifest",
    "Manifest",
    "as_docker",
    "descriptor",
    "parse_image_manifest",
    "parse_manifest",
]

_CONFIG_LIMIT: Final = 8 << 20
_BLOB_LIMIT: Final = 64 << 30
_MOST_LAYERS: Final = 500
INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIG_TYPES: Final = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_LAYER_TYPES: Final = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index: its bytes, verified, and what they say."""

    digest: str
    media_type: str
    raw: bytes
    body: dict[str, Any]

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


def parse_manifest(raw: bytes, media_type: str, digest: str) -> Manifest:
    """Raises InvalidArgument for what is no JSON object, NotSupported for an unknown type."""
    try:
        body = parse_json(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise InvalidArgument(f"manifest {digest}: is not a JSON object")
    declared = body.get("mediaType")
    kind = declared if isinstance(declared, str) else media_type.partition(";")[0].strip()
    if kind not in MANIFEST_TYPES + INDEX_TYPES:
        kind = _guess_type(body)
    if not kind:
        shown = visible(str(declared or media_type)[:200])
        raise NotSupported(f'manifest {digest}: media type "{shown}"')
    return Manifest(digest, kind, raw, body)


def _guess_type(body: dict[str, Any]) -> str:
    """OCI leaves `mediaType` optional, and some registries serve text/plain."""
    if body.get("schemaVersion") != 2 or "mediaType" in body:
        return ""
    if "manifests" in body:
        return INDEX_TYPES[0]
    return MANIFEST_TYPES[0] if "layers" in body else ""


_DOCKER_TYPES: Final[Mapping[str, str]] = {
    MANIFEST_TYPES[0]: MANIFEST_TYPES[1],
    _CONFIG_TYPES[0]: _CONFIG_TYPES[1],
    "application/vnd.oci.image.layer.v1.tar": "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip": (
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    ),
}


def as_docker(raw: bytes) -> tuple[bytes, str] | None:
    """An image's manifest with Docker's media types, for registries that know no others; its type.

    None where it is none of OCI's, or has what Docker's types cannot say (layers by zstd).
    """
    body = parse_json(raw)
    parts = [body, body.get("config"), *(body.get("layers") or ())]
    types = [str(part.get("mediaType")) if isinstance(part, dict) else "" for part in parts]
    if not all(each in _DOCKER_TYPES for each in types):
        return None
    for part, kind in zip(parts, types, strict=True):
        part["mediaType"] = _DOCKER_TYPES[kind]
    kept = ("schemaVersion", "mediaType", "config", "layers")
    small = {key: body[key] for key in kept}
    for part in (small["config"], *small["layers"]):
        part.pop("annotations", None)
    return json.dumps(small, separators=(",", ":")).encode(), MANIFEST_TYPES[1]


@dataclass(frozen=True, slots=True)
class Descriptor:
    digest: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """The configuration and the layers, base layer first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def descriptor(value: object, what: str) -> Descriptor:
    """Raises InvalidArgument for what is no descriptor of a sha256 blob."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{what}: malformed descriptor")
    digest, size, media_type = (value.get(key) for key in ("digest", "size", "mediaType"))
    if not isinstance(digest, str) or not is_digest(digest):
        raise InvalidArgument(f"{what}: invalid digest {json.dumps(digest)[:100]}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _BLOB_LIMIT:
        raise InvalidArgument(f"{what}: blob {digest}: invalid size {json.dumps(size)[:40]}")
    return Descriptor(digest, size, media_type if isinstance(media_type, str) else "")


def parse_image_manifest(body: Mapping[str, Any], *, name: str) -> ImageManifest:
    """Raises InvalidArgument, and NotSupported for a manifest of something other than an image."""
    what = f"manifest for {name}"
    layers = body.get("layers")
    if not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
        raise InvalidArgument(f"{what}: malformed, or more than {_MOST_LAYERS} layers")
    manifest = ImageManifest(
        descriptor(body.get("config"), what), tuple(descriptor(layer, what) for layer in layers)
    )
    if manifest.config.media_type not in _CONFIG_TYPES:
        raise NotSupported(f'{what}: config media type "{manifest.config.media_type}"')
    if manifest.config.size_bytes > _CONFIG_LIMIT:
        raise InvalidArgument(f"{what}: config is larger than {_CONFIG_LIMIT} bytes")
    for layer in manifest.layers:
        if not layer.media_type.startswith(_LAYER_TYPES):
            raise NotSupported(f'{what}: layer media type "{layer.media_type}"')
    return manifest
