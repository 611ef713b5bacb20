"""What images an archive has: in the layout of `docker save`, in that of OCI, or in both at once.

With both, names are taken from the first, and manifests from the second, so that an image keeps the
digest by which registries know it. Blocking, as it reads small files of the archive.
Source: moby `daemon/internal/image/tarexport`; OCI image-spec image-layout.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.registry.digest import digest_of
from stackr.registry.manifest import (
    Descriptor,
    Manifest,
    descriptor,
    parse_image_manifest,
    parse_manifest,
)
from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.image.attestation import attached_to, parts_of
from stackr.runtime.engine.image.configuration import parse_config
from stackr.runtime.engine.image.platform import (
    Platform,
    check_made_for,
    choose_manifest,
    host_platform,
)
from stackr.runtime.engine.image.spooled import File, Spooled

__all__ = ["ArchivedImage", "archived_images"]

_DOCKER: Final = "manifest.json"
_OCI: Final = "index.json"
_NAME: Final = "io.containerd.image.name"
_REF_NAME: Final = "org.opencontainers.image.ref.name"
_MOST_DEPTH: Final = 4
_MOST_IMAGES: Final = 1000
_Chosen = tuple[Manifest, Manifest | None]
"""An image's manifest, and the index that names it."""


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """An image of an archive. raw: its configuration, whose digest is its ID; config: what it says.

    layers: in the order of its diff IDs. names: it is to have. manifest, index: raw; b"" where the
    archive has none. attestation: what attests to it, the manifest first.
    """

    raw: bytes
    config: Mapping[str, Any]
    layers: tuple[File, ...]
    names: tuple[Reference, ...] = ()
    manifest: bytes = b""
    index: bytes = b""
    attestation: tuple[File, ...] = ()

    @property
    def id(self) -> str:
        return digest_of(self.raw)

    @property
    def diff_ids(self) -> Sequence[str]:
        return list(self.config["rootfs"]["diff_ids"])


def archived_images(archive: Spooled, platform: Platform | None) -> list[ArchivedImage]:
    """In order. platform: which of several to take; this host's where it is None.

    Raises InvalidArgument for an archive that is neither, that lacks something, or has other bytes
    than it says; NotFound where it has no image for the platform.
    """
    if archive.find(_DOCKER) is None and archive.find(_OCI) is None:
        raise InvalidArgument(
            f"archive: has neither {_DOCKER} nor {_OCI}: it is no archive of images"
        )
    if archive.find(_DOCKER) is None:
        return list(_of_index(archive, platform))
    images = list(_of_docker(archive, platform))
    known = _manifests(archive) if archive.find(_OCI) is not None else {}
    return [_come_by(archive, image, known.get(image.id)) for image in images]


def _come_by(archive: Spooled, image: ArchivedImage, chosen: _Chosen | None) -> ArchivedImage:
    """With the manifest, and the index, that the archive has of it."""
    if chosen is None:
        return image
    manifest, index = chosen
    image = replace(image, manifest=manifest.raw)
    entry = attached_to(index.body, manifest.digest) if index is not None else None
    if index is None or entry is None or not _has(archive, entry.digest):
        return image
    attesting = parse_manifest(
        archive.read(_sized(archive, entry), entry.digest), entry.media_type, entry.digest
    )
    parts = (entry, *parts_of(attesting))
    return replace(image, index=index.raw, attestation=tuple(_sized(archive, p) for p in parts))


def _of_docker(archive: Spooled, platform: Platform | None) -> Iterator[ArchivedImage]:
    entries = _objects(archive.json(_DOCKER), _DOCKER)
    for entry in entries:
        path = _text(entry.get("Config"), f"{_DOCKER}: Config")
        raw = archive.read(_checked(archive, path), path)
        layers = entry.get("Layers") or []
        names = entry.get("RepoTags") or []
        if not isinstance(layers, list) or not isinstance(names, list):
            raise InvalidArgument(f"archive: {_DOCKER}: malformed")
        files = [_checked(archive, _text(each, f"{_DOCKER}: Layers")) for each in layers]
        yield _image(raw, files, path, platform, [_reference(name) for name in names])


def _checked(archive: Spooled, path: str) -> File:
    """Blobs are named by what they hold."""
    parts = path.split("/")
    if len(parts) == 3 and parts[:2] == ["blobs", "sha256"]:
        return archive.blob(f"sha256:{parts[2]}")
    return archive.file(path)


def _image(
    raw: bytes,
    layers: Sequence[File],
    what: str,
    platform: Platform | None,
    names: Sequence[Reference],
) -> ArchivedImage:
    config = parse_config(raw, name=what)
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(layers):
        raise InvalidArgument(
            f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, got {len(layers)}"
        )
    if platform is not None:
        check_made_for({"os": "linux", **config}, platform, name=str((*names, what)[0]))
    return ArchivedImage(raw, config, tuple(layers), tuple(names))


def _of_index(archive: Spooled, platform: Platform | None) -> Iterator[ArchivedImage]:
    images: dict[str, ArchivedImage] = {}
    for entry in _entries(archive):
        chosen = _chosen(archive, entry, platform, depth=0)
        if chosen is None:
            continue
        manifest = chosen[0]
        parsed = parse_image_manifest(manifest.body, name=manifest.digest)
        raw = archive.read(_sized(archive, parsed.config), parsed.config.digest)
        layers = [_sized(archive, layer) for layer in parsed.layers]
        name = _name_of(entry)
        image = _image(raw, layers, manifest.digest, platform, [name] if name else [])
        known = images.get(image.id)
        names = (*known.names, *image.names) if known else image.names
        images[image.id] = _come_by(archive, replace(image, names=names), chosen)
    if not images:
        raise InvalidArgument(f"archive: {_OCI}: names no image")
    yield from images.values()


def _manifests(archive: Spooled) -> dict[str, _Chosen]:
    """By the digest of their configuration."""
    found = {}
    for entry in _entries(archive):
        chosen = _chosen(archive, entry, None, depth=0)
        if chosen is not None:
            parsed = parse_image_manifest(chosen[0].body, name=chosen[0].digest)
            found[parsed.config.digest] = chosen
    return found


def _entries(archive: Spooled) -> list[dict[str, Any]]:
    body = archive.json(_OCI)
    return _objects(body.get("manifests") if isinstance(body, dict) else None, _OCI)


def _objects(value: object, what: str) -> list[dict[str, Any]]:
    if (
        not isinstance(value, list)
        or len(value) > _MOST_IMAGES
        or not all(isinstance(each, dict) for each in value)
    ):
        raise InvalidArgument(f"archive: {what}: malformed")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"archive: {what}: malformed")
    return value


def _manifest(archive: Spooled, entry: Mapping[str, Any]) -> Manifest:
    found = descriptor(entry, f"archive: {_OCI}")
    raw = archive.read(_sized(archive, found), found.digest)
    return parse_manifest(raw, found.media_type, found.digest)


def _sized(archive: Spooled, wanted: Descriptor) -> File:
    file = archive.blob(wanted.digest)
    if file.size_bytes != wanted.size_bytes:
        raise InvalidArgument(
            f"archive: blob {wanted.digest}: has {file.size_bytes} bytes, not {wanted.size_bytes}"
        )
    return file


def _chosen(
    archive: Spooled,
    entry: Mapping[str, Any],
    platform: Platform | None,
    *,
    depth: int,
    index: Manifest | None = None,
) -> _Chosen | None:
    """An image's manifest, and the index that has it; of an index, the one for the platform. None
    for what is no image.
    """
    manifest = _manifest(archive, entry)
    if not manifest.is_index:
        return (manifest, index) if _is_image(manifest) else None
    if depth == _MOST_DEPTH:
        raise InvalidArgument(f"archive: {manifest.digest}: indexes within indexes")
    entries = _objects(manifest.body.get("manifests"), manifest.digest)
    here = [each for each in entries if _is_here(archive, each)]
    if len(here) == 1 and platform is None:
        return _chosen(archive, here[0], platform, depth=depth + 1, index=manifest)
    wanted = platform or host_platform()
    body = {**manifest.body, "manifests": here}
    found = choose_manifest(body, wanted, name=manifest.digest)
    return _chosen(archive, found, platform, depth=depth + 1, index=manifest)


def _is_image(manifest: Manifest) -> bool:
    """Signatures and attestations have manifests, too."""
    try:
        parse_image_manifest(manifest.body, name=manifest.digest)
    except NotSupported:
        return False
    return True


def _is_here(archive: Spooled, entry: Mapping[str, Any]) -> bool:
    """An archive may have an index whole, and the images of some of its platforms."""
    platform = entry.get("platform")
    if isinstance(platform, Mapping) and platform.get("os") == "unknown":
        return False
    return _has(archive, str(entry.get("digest", "")))


def _has(archive: Spooled, digest: str) -> bool:
    return archive.find("blobs/" + digest.replace(":", "/", 1)) is not None


def _name_of(entry: Mapping[str, Any]) -> Reference | None:
    """A `ref.name` that is a tag alone is no name."""
    annotations = entry.get("annotations")
    if not isinstance(annotations, Mapping):
        return None
    if isinstance(name := annotations.get(_NAME), str):
        return _reference(name)
    name = annotations.get(_REF_NAME)
    return _reference(name) if isinstance(name, str) and (":" in name or "/" in name) else None


def _reference(text: object) -> Reference:
    try:
        name = parse_reference(_text(text, "an image's name"))
    except StackrError as error:
        raise InvalidArgument(f'archive: an image\'s name: "{str(text)[:100]}": {error}') from error
    if name.digest:
        raise InvalidArgument(f'archive: an image\'s name: "{name}": has a digest')
    return name.with_default_tag()
