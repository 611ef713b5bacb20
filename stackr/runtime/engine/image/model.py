"""An image as the engine knows it, and its record in the engine's state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stackr.registry.reference import Reference
from stackr.runtime.engine.image.platform import Platform
from stackr.runtime.engine.state import Document

__all__ = ["HistoryEntry", "Image", "ImageUse", "NewImage", "RemoteImage", "StoredImage"]


@dataclass(frozen=True, slots=True)
class Image:
    """One image; `config` is the OCI configuration's `config` object, with its own spelling.

    id: digest of the configuration. repo_tags, repo_digests: as people write them. created,
    last_tagged: RFC 3339. diff_ids: base layer first. size_bytes: of the unpacked layers.
    """

    id: str
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    created: str
    architecture: str
    os: str
    variant: str
    config: dict[str, Any]
    diff_ids: tuple[str, ...]
    history: tuple[dict[str, Any], ...]
    size_bytes: int
    author: str = ""
    comment: str = ""
    last_tagged: str = ""
    parent: str = ""
    """The ID of the image that the container had of which this one was made; "" for others."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One step of how an image was built; only the newest has the image's ID and tags."""

    id: str
    created: str
    created_by: str
    comment: str
    size_bytes: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """What a name means in a registry; `platforms` are of an index, or of the one image."""

    digest: str
    media_type: str
    size_bytes: int
    platforms: tuple[Platform, ...]


@dataclass(frozen=True, slots=True)
class ImageUse:
    """A container made from an image, which a removal has to respect."""

    container_id: str
    running: bool


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image that is to be recorded, whose layers are unpacked; as in `StoredImage`.

    names: those that it gets besides what it has.
    """

    id: str
    oci: dict[str, Any]
    layer_blobs: tuple[str, ...]
    manifests: tuple[str, ...] = ()
    names: tuple[Reference, ...] = ()
    parent: str = ""
    attestations: tuple[str, ...] = ()


@dataclass(slots=True)
class StoredImage:
    """An image's record: what its configuration says is kept whole, its names are kept apart.

    manifests: digests of every manifest and index by which it came. layer_blobs: in the order of
    the diff IDs; "" for a layer that was built here and has not been packed yet. attestations: of
    every blob of what attests to it, manifests included.
    """

    id: str
    oci: dict[str, Any]
    manifests: tuple[str, ...]
    layer_blobs: tuple[str, ...]
    size_bytes: int
    last_tagged: str
    names: dict[str, Reference] = field(default_factory=dict)
    parent: str = ""
    attestations: tuple[str, ...] = ()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return tuple(self.oci["rootfs"]["diff_ids"])

    @property
    def blobs(self) -> tuple[str, ...]:
        own = (self.id, *self.manifests, *filter(None, self.layer_blobs))
        return (*own, *self.attestations)

    def to_document(self) -> Document:
        return {
            "oci": self.oci,
            "manifests": list(self.manifests),
            "layer_blobs": list(self.layer_blobs),
            "size_bytes": self.size_bytes,
            "last_tagged": self.last_tagged,
            **({"parent": self.parent} if self.parent else {}),
            **({"attestations": list(self.attestations)} if self.attestations else {}),
        }

    @classmethod
    def from_document(cls, id: str, body: Document) -> StoredImage:
        return cls(
            id=id,
            oci=body["oci"],
            manifests=tuple(body["manifests"]),
            layer_blobs=tuple(body["layer_blobs"]),
            size_bytes=body["size_bytes"],
            last_tagged=body["last_tagged"],
            parent=body.get("parent", ""),
            attestations=tuple(body.get("attestations", ())),
        )

    def view(self) -> Image:
        names = sorted(self.names.values(), key=str)
        return Image(
            id=self.id,
            repo_tags=tuple(name.familiar for name in names if not name.digest),
            repo_digests=tuple(name.familiar for name in names if name.digest),
            created=_text(self.oci, "created"),
            architecture=_text(self.oci, "architecture"),
            os=_text(self.oci, "os") or "linux",
            variant=_text(self.oci, "variant"),
            config=self.oci.get("config") or {},
            diff_ids=self.diff_ids,
            history=self.history,
            size_bytes=self.size_bytes,
            author=_text(self.oci, "author"),
            comment=_text(self.oci, "comment"),
            last_tagged=self.last_tagged,
            parent=self.parent,
        )

    @property
    def history(self) -> tuple[dict[str, Any], ...]:
        history = self.oci.get("history")
        if not isinstance(history, list):
            return ()
        return tuple(entry for entry in history if isinstance(entry, dict))


def _text(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""
