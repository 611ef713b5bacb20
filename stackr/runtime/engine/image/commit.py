"""Make an image of a container: its writable layer on top of the layers that it was made from.

The layer is packed by a process of its own, and unpacked again as a pulled one would be, so that a
committed image differs in nothing from a pulled one. Source: OCI image-spec config.md, manifest.md.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stackr.errors import Internal
from stackr.registry.digest import digest_of
from stackr.runtime.engine.archive import layer_packer
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.linux.child import run_child

__all__ = ["Commit", "PackedLayer", "image_config", "layer_descriptor", "manifest", "pack_layer"]

_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_COMPRESSIONS: Final = ((b"\x1f\x8b", "+gzip"), (b"\x28\xb5\x2f\xfd", "+zstd"))


@dataclass(frozen=True, slots=True)
class Commit:
    """What is asked for. config: the new image's, with the keys of the OCI configuration.

    base: the ID of the container's image. upper: its upper directory. created: RFC 3339.
    reference: "" for an image without a name.
    """

    base: str
    upper: Path
    config: Mapping[str, Any]
    created: str
    reference: str = ""
    author: str = ""
    message: str = ""
    command: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """A layer's blob, which is in the content store."""

    diff_id: str
    digest: str


async def pack_layer(upper: Path, content: ContentStore) -> PackedLayer | None:
    """The changes of an upper directory as a blob; None where there are none.

    Raises Internal where the host fails (a full disk); nothing is left of it then.
    """
    fd, partial = await asyncio.to_thread(content.begin)
    try:
        done = await _run(upper, fd)
        if not done["entries"]:
            return None
        await asyncio.to_thread(content.publish, fd, partial, digest=done["digest"])
        return PackedLayer(done["diff_id"], done["digest"])
    finally:
        os.close(fd)
        with suppress(FileNotFoundError):
            partial.unlink()


async def _run(upper: Path, output: int) -> dict[str, Any]:
    answer = await run_child(
        "layer-packer", layer_packer.__name__, {"output": output}, folder=upper, kept=(output,)
    )
    if "done" not in answer:
        reason = answer.get("failure") or answer["error"]
        raise Internal(f"commit: the layer cannot be written: {reason}")
    done: dict[str, Any] = answer["done"]
    return done


def image_config(base: Mapping[str, Any], commit: Commit, layer: PackedLayer | None) -> bytes:
    """The new image's configuration. base: that of the container's image."""
    kept = {key: base[key] for key in ("architecture", "variant", "os") if base.get(key)}
    step = {
        "created": commit.created,
        "created_by": " ".join(commit.command),
        "author": commit.author,
        "comment": commit.message,
        "empty_layer": layer is None,
    }
    history = base.get("history")
    value = {
        **kept,
        "created": commit.created,
        "author": commit.author,
        "comment": commit.message,
        "config": dict(commit.config),
        "history": [
            *(history if isinstance(history, list) else ()),
            {key: each for key, each in step.items() if each},
        ],
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base["rootfs"]["diff_ids"], *([layer.diff_id] if layer else [])],
        },
    }
    filled = {key: each for key, each in value.items() if each or key == "config"}
    return json.dumps(filled, separators=(",", ":"), ensure_ascii=False).encode()


def manifest(config: bytes, layer_blobs: Sequence[str], content: ContentStore) -> bytes:
    """The manifest by which the image is pushed; blocking. Raises NotFound for a missing blob."""
    value = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": {
            "mediaType": _CONFIG_TYPE,
            "digest": digest_of(config),
            "size": len(config),
        },
        "layers": [layer_descriptor(digest, content) for digest in layer_blobs],
    }
    return json.dumps(value, separators=(",", ":")).encode()


def layer_descriptor(digest: str, content: ContentStore) -> dict[str, Any]:
    """Of a layer's blob, as manifests have it; blocking. Raises NotFound."""
    return {
        "mediaType": _LAYER_TYPE + _compression(content.path(digest)),
        "digest": digest,
        "size": content.size(digest),
    }


def _compression(blob: Path) -> str:
    """By the first bytes: media types are often wrong."""
    with suppress(FileNotFoundError), blob.open("rb") as file:
        head = file.read(4)
        return next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), "")
    return ""
