"""The records of images: what is here, and by which names.

Of kind `image` by ID and `image_name` by full reference, held in memory and written through.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from stackr.errors import InvalidArgument, NotFound
from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.image.model import Image, NewImage, StoredImage
from stackr.runtime.engine.image.names import taggable
from stackr.runtime.engine.image.platform import host_platform
from stackr.runtime.engine.image.removal import Removals
from stackr.runtime.engine.records import Document, Kind
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State

__all__ = ["IMAGE", "IMAGE_NAME", "ImageStore", "event_attributes"]

_ID_PREFIX_RE: Final = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


class ImageStore:
    """The images of one engine; used on the event loop's thread."""

    def __init__(self, state: State, events: EventBus, snapshots: Overlay) -> None:
        self._state = state
        self._events = events
        self._snapshots = snapshots
        self._images: dict[str, StoredImage] = {}
        self._names: dict[str, str] = {}
        self._drafts: dict[str, StoredImage] = {}

    def open(self) -> None:
        """Read the records; names of images that are not there are dropped."""
        self._images |= self._state.read(IMAGE, strict=True)
        for name, (id, reference) in self._state.read(IMAGE_NAME, strict=True).items():
            image = self._images.get(id)
            if image is None:
                self._state.delete(IMAGE_NAME.name, name)
                continue
            self._names[name] = image.id
            image.names[name] = reference

    def __iter__(self) -> Iterator[StoredImage]:
        """Those that are there as it begins."""
        return iter(list(self._images.values()))

    def __contains__(self, id: str) -> bool:
        """Whether an image is recorded under this whole ID; a draft is not."""
        return id in self._images

    def by_id(self, id: str) -> StoredImage | None:
        """The image of a whole ID."""
        return self._images.get(id)

    def named(self, name: Reference) -> StoredImage | None:
        """What the name means now."""
        return self._images.get(self._names.get(str(name), ""))

    def tags_of(self, repository: Reference) -> Mapping[str, Sequence[Reference]]:
        """The tags of a repository, by the IDs of their images, sorted."""
        found: dict[str, list[Reference]] = {}
        for key in sorted(self._names):
            name = self._images[self._names[key]].names[key]
            if name.name == repository.name and name.tag and not name.digest:
                found.setdefault(self._names[key], []).append(name)
        return found

    def find(self, name_or_id: str) -> StoredImage:
        """By name (tag `latest` where it has none), name and digest, ID, or the start of an ID.

        Raises NotFound (`No such image: x`), InvalidArgument for what is neither.
        """
        if name_or_id in self._images:
            return self._images[name_or_id]
        if name_or_id in self._drafts:
            return self._drafts[name_or_id]
        prefix = _ID_PREFIX_RE.fullmatch(name_or_id)
        if prefix and (name_or_id.startswith("sha256:") or len(prefix[1]) == 64):
            return self._by_prefix(prefix[1], name_or_id)
        name = parse_reference(name_or_id).with_default_tag()
        keys = [str(name)] + ([str(name.with_digest(name.digest))] if name.digest else [])
        for key in keys:
            if key in self._names:
                return self._images[self._names[key]]
        if prefix:
            return self._by_prefix(prefix[1], name.familiar)
        raise NotFound(f"No such image: {name.familiar}")

    def _by_prefix(self, prefix: str, shown: str) -> StoredImage:
        found = [id for id in self._images if id.startswith(f"sha256:{prefix}")]
        if len(found) > 1:
            raise InvalidArgument(f"image ID {prefix} is ambiguous: {len(found)} images match")
        if not found:
            raise NotFound(f"No such image: {shown}")
        return self._images[found[0]]

    def add(self, new: Sequence[NewImage]) -> Sequence[StoredImage]:
        """Record images and their names: all of them, or none."""
        with self._state.transaction():
            return [self._add(each) for each in new]

    def _add(self, new: NewImage) -> StoredImage:
        former = self._images.get(new.id)
        known = former.manifests if former else ()
        attested = former.attestations if former else ()
        stored = StoredImage(
            id=new.id,
            oci=new.oci,
            manifests=tuple(dict.fromkeys((*known, *new.manifests))),
            layer_blobs=new.layer_blobs,
            size_bytes=sum(self.layer_size(each) for each in new.oci["rootfs"]["diff_ids"]),
            last_tagged=_now() if new.names or former is None else former.last_tagged,
            names=former.names if former else {},
            parent=former.parent if former else new.parent,
            attestations=tuple(dict.fromkeys((*attested, *new.attestations))),
        )
        self._state.save(IMAGE, stored.id, stored)
        self._images[stored.id] = stored
        for name in new.names:
            self.point(name, stored)
        return stored

    def layer_size(self, diff_id: str) -> int:
        """Bytes in an unpacked layer; 0 where there is none."""
        layer = self._snapshots.layer(diff_id)
        return layer.size_bytes if layer else 0

    def save(self, image: StoredImage) -> None:
        """Write what has changed of an image; whoever changes names besides takes a transaction."""
        self._state.save(IMAGE, image.id, image)

    def point(self, name: Reference, image: StoredImage) -> None:
        """Let `name` mean `image`, and no longer what it meant."""
        key = str(name)
        former = self._images.get(self._names.get(key, ""))
        if former is not None:
            former.names.pop(key, None)
        self._state.save(IMAGE_NAME, key, (image.id, name))
        self._names[key] = image.id
        image.names[key] = name

    def tag(self, source: str, target: str) -> None:
        """Let the name `target` mean the image `source`. Raises NotFound, InvalidArgument."""
        name = taggable(target)
        image = self.find(source)
        image.last_tagged = _now()
        with self._state.transaction():
            self.save(image)
            self.point(name, image)
        self.announce("tag", image, name)

    def untag(self, image: StoredImage, names: Iterable[Reference]) -> Removals:
        """Take these names from an image, which stays."""
        removals: Removals = []
        for name in names:
            self._state.delete(IMAGE_NAME.name, str(name))
            del self._names[str(name)]
            del image.names[str(name)]
            self.announce("untag", image, name)
            removals.append({"Untagged": name.familiar})
        return removals

    def forget(self, image: StoredImage) -> None:
        """Drop an image with its names; blobs and layers are others' business."""
        with self._state.transaction():
            for name in image.names:
                self._state.delete(IMAGE_NAME.name, name)
                self._names.pop(name, None)
            self._state.delete(IMAGE.name, image.id)
        image.names.clear()
        self._images.pop(image.id, None)

    def has_children(self, image: StoredImage) -> bool:
        """Whether another one was made on top of it."""
        return any(other.parent == image.id for other in self._images.values())

    @contextmanager
    def draft(self, diff_ids: Sequence[str]) -> Iterator[Image]:
        """An image without settings that only its ID finds, for the containers of a build.

        It is gone with the block; its layers are kept until then.
        """
        id = f"sha256:{secrets.token_hex(32)}"
        platform = host_platform()
        oci = {"os": platform.os, "architecture": platform.architecture}
        oci |= {"variant": platform.variant} if platform.variant else {}
        rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
        blobs = ("",) * len(diff_ids)
        self._drafts[id] = StoredImage(id, {**oci, "rootfs": rootfs}, (), blobs, 0, "")
        try:
            yield self._drafts[id].view()
        finally:
            del self._drafts[id]

    def blobs_of_layers(self) -> Mapping[str, str]:
        """Diff ID -> a blob of it that is here."""
        return {
            diff_id: digest
            for image in self._images.values()
            for diff_id, digest in zip(image.diff_ids, image.layer_blobs, strict=True)
            if digest
        }

    def blobs(self) -> frozenset[str]:
        """The digests of all that images are made of."""
        return frozenset().union(*(image.blobs for image in self._images.values()))

    def diff_ids(self) -> frozenset[str]:
        """The layers of all images, drafts included."""
        images = (*self._images.values(), *self._drafts.values())
        return frozenset().union(*(image.diff_ids for image in images))

    def announce(self, action: str, image: StoredImage, name: Reference) -> None:
        """An event of an image by one of its names."""
        self._events.publish("image", action, image.id, event_attributes(image, name))


def event_attributes(image: StoredImage, name: Reference) -> dict[str, str]:
    """What an event says of an image: its labels, and the name."""
    labels = (image.oci.get("config") or {}).get("Labels") or {}
    return {**{str(k): str(v) for k, v in labels.items()}, "name": name.familiar}


def _named(name: str, document: Document) -> tuple[str, Reference]:
    return document["image"], parse_reference(name)


IMAGE: Final = Kind("image", StoredImage.from_document, StoredImage.to_document)
IMAGE_NAME: Final = Kind("image_name", parse=_named, dump=lambda named: {"image": named[0]})


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
