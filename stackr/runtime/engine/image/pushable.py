"""An image as it is pushed: its manifest, and where its registry may have its layers already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stackr.errors import InvalidArgument, NotFound, StackrError
from stackr.registry.digest import digest_of
from stackr.registry.manifest import ImageManifest, parse_image_manifest, parse_manifest
from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.image.attestation import Whole, whole
from stackr.runtime.engine.image.commit import manifest
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.model import StoredImage

__all__ = ["Pushable", "names_to_push", "pushable", "pushed_name", "repositories_with"]


@dataclass(frozen=True, slots=True)
class Pushable:
    """manifest, raw, media_type: what is pushed, read and as it is. diff_ids: of its layers.

    whole: the index that it came by, which is pushed with it.
    """

    manifest: ImageManifest
    raw: bytes
    media_type: str
    diff_ids: Sequence[str]
    whole: Whole | None = None

    @property
    def digest(self) -> str:
        return digest_of(self.raw)


def pushed_name(repository: str, tag: str) -> Reference:
    """What a push is asked for; no tag means all that the repository has here.

    Raises InvalidArgument for what is no name, and for a digest.
    """
    name = parse_reference(repository)
    if name.digest:
        raise InvalidArgument("cannot push a digest reference")
    return parse_reference(f"{replace(name, tag=None)}:{tag}") if tag else name


def names_to_push(images: Iterable[StoredImage], name: Reference) -> list[Reference]:
    """The name, or all of its repository where it has no tag. Raises NotFound, as Docker has it."""
    tagged = {
        str(each): each
        for image in images
        for each in image.names.values()
        if each.name == name.name and each.tag
    }
    if not tagged:
        raise NotFound(f"An image does not exist locally with the tag: {name.familiar_name}")
    if name.tag and str(name) not in tagged:
        raise NotFound(f"tag does not exist: {name.familiar}")
    return [name] if name.tag else [tagged[key] for key in sorted(tagged)]


def pushable(image: StoredImage, content: ContentStore) -> Pushable:
    """With the manifest that the image came with, so that its digest stays what it was, where that
    is of the layers that are here; with a new one, which is not stored here, otherwise.

    Blocking. Raises NotFound for a blob that is missing.
    """
    for digest in image.manifests:
        found = _as_it_came(image, content, digest)
        if found is not None:
            return replace(found, whole=whole(image, content, found.digest))
    raw = manifest(content.read(image.id), image.layer_blobs, content)
    made = parse_manifest(raw, "", digest_of(raw))
    parsed = parse_image_manifest(made.body, name=image.id)
    return Pushable(parsed, raw, made.media_type, image.diff_ids)


def _as_it_came(image: StoredImage, content: ContentStore, digest: str) -> Pushable | None:
    try:
        raw = content.read(digest)
        found = parse_manifest(raw, "", digest)
        parsed = parse_image_manifest(found.body, name=image.id)
    except StackrError:
        return None  # an index, or no longer here
    layers = tuple(layer.digest for layer in parsed.layers)
    if parsed.config.digest != image.id or layers != image.layer_blobs:
        return None
    return Pushable(parsed, raw, found.media_type, image.diff_ids)


def repositories_with(
    images: Iterable[StoredImage], target: Reference
) -> Mapping[str, Sequence[str]]:
    """Blob -> paths of other repositories in the target's registry that have, or had, it.

    What was pulled from there, or pushed there, is known by its digest.
    """
    found: dict[str, list[str]] = {}
    for image in images:
        paths = {
            name.path
            for name in image.names.values()
            if name.digest and name.domain == target.domain and name.path != target.path
        }
        for blob in image.layer_blobs:
            known = found.setdefault(blob, [])
            known += sorted(paths.difference(known))
    return found
