"""Images as the API shows them: in lists, inspected, and what several of them share. Pure.

Source: Docker Engine API, "ImageSummary", "ImageInspect", and its version history.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackr.runtime.engine.api.timestamp import ZERO_TIME, parse_time
from stackr.runtime.engine.image.manifest_summary import ATTESTATION, IMAGE, ManifestSummary
from stackr.runtime.engine.image.model import Image

__all__ = [
    "created_ns",
    "inspection",
    "manifest_json",
    "matching_names",
    "shared_sizes",
    "summary",
    "without_intermediate",
]

_NS = 1_000_000_000
_CONTAINER_DEFAULTS: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}
"""What no image says, and older versions of the API show all the same."""
_CONFIG_DEFAULTS: dict[str, Any] = {
    "User": "",
    "Env": None,
    "Cmd": None,
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}
_OMITTED_WHERE_EMPTY = ("Parent", "Comment", "DockerVersion", "Author")


def created_ns(image: Image) -> int:
    return (parse_time(image.created, "created") or 0) if image.created else 0


def matching_names(image: Image, patterns: Sequence[str]) -> Image:
    """With the names alone that one of the patterns fits, with or without their tag or digest, as
    Go's `path.Match` has it.
    """

    def fits(name: str) -> bool:
        bare = name.rpartition("@" if "@" in name else ":")[0]
        return any(
            fnmatch.fnmatchcase(text, pattern) and text.count("/") == pattern.count("/")
            for pattern in patterns
            for text in (name, bare)
        )

    return replace(
        image,
        repo_tags=tuple(filter(fits, image.repo_tags)),
        repo_digests=tuple(filter(fits, image.repo_digests)),
    )


def without_intermediate(images: Sequence[Image]) -> list[Image]:
    """Without those that have no name, and that others were made on top of."""
    below = {image.parent for image in images}
    return [i for i in images if i.repo_tags or i.repo_digests or i.id not in below]


def shared_sizes(images: Iterable[Image], layer_sizes: Mapping[str, int]) -> dict[str, int]:
    """Of each image, by ID, the bytes in layers that another one has as well."""
    layers = {image.id: set(image.diff_ids) for image in images}
    users = Counter(diff_id for diff_ids in layers.values() for diff_id in diff_ids)
    return {
        id: sum(layer_sizes.get(diff_id, 0) for diff_id in diff_ids if users[diff_id] > 1)
        for id, diff_ids in layers.items()
    }


def summary(
    image: Image, version: tuple[int, int], *, containers: int, shared_size: int = -1
) -> dict[str, Any]:
    """One line of a list."""
    value = {
        "Containers": containers,
        "Created": created_ns(image) // _NS,
        "Id": image.id,
        "Labels": image.config.get("Labels"),
        "ParentId": image.parent,
        "RepoDigests": list(image.repo_digests),
        "RepoTags": list(image.repo_tags),
        "SharedSize": shared_size,
        "Size": image.size_bytes,
    }
    if version < (1, 44):
        value["VirtualSize"] = image.size_bytes
    return value


def manifest_json(
    manifest: ManifestSummary, image: Image, containers: Sequence[str]
) -> dict[str, Any]:
    """One of an image's manifests. containers: IDs of those that the image has."""
    unpacked = image.size_bytes if manifest.is_own else 0
    sizes = {"Content": manifest.content_bytes, "Total": manifest.content_bytes + unpacked}
    value: dict[str, Any] = {
        "ID": manifest.descriptor["digest"],
        "Descriptor": dict(manifest.descriptor),
        "Available": manifest.available,
        "Size": sizes,
        "Kind": manifest.kind,
    }
    if manifest.kind == IMAGE:
        value["ImageData"] = {
            "Platform": dict(manifest.platform),
            "Containers": [*containers] if manifest.is_own else [],
            "Size": {"Unpacked": unpacked},
        }
    if manifest.kind == ATTESTATION:
        value["AttestationData"] = {"For": manifest.attests_to}
    return value


def inspection(image: Image, version: tuple[int, int], folders: Sequence[str]) -> dict[str, Any]:
    """folders: where the layers are unpacked, base layer first."""
    value = {
        "Id": image.id,
        "RepoTags": list(image.repo_tags),
        "RepoDigests": list(image.repo_digests),
        "Parent": image.parent,
        "Comment": image.comment,
        "Created": image.created or ZERO_TIME,
        "DockerVersion": "",
        "Author": image.author,
        "Config": _config(image, version),
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size_bytes,
        "GraphDriver": {"Name": "overlay2", "Data": _graph_data(folders)},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": image.last_tagged or ZERO_TIME},
    }
    if image.variant:
        value["Variant"] = image.variant
    if version < (1, 44):
        value["VirtualSize"] = image.size_bytes
    if version >= (1, 52):
        value = {k: each for k, each in value.items() if each or k not in _OMITTED_WHERE_EMPTY}
    return value


def _config(image: Image, version: tuple[int, int]) -> dict[str, Any]:
    """Less and less is shown of what an image does not say."""
    if version >= (1, 52):
        return {key: value for key, value in image.config.items() if value not in (None, "", [])}
    if version >= (1, 50):
        return {**_CONFIG_DEFAULTS, **image.config}
    return {**_CONTAINER_DEFAULTS, **_CONFIG_DEFAULTS, **image.config}


def _graph_data(folders: Sequence[str]) -> dict[str, str] | None:
    """As the overlay2 driver has it; nothing is mounted for an image here."""
    if not folders:
        return None
    *lower, upper = folders
    below = {"LowerDir": ":".join(reversed(lower))} if lower else {}
    return {**below, "UpperDir": upper}
