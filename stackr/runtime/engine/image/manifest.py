"""What a manifest and an image configuration say, checked before anything is fetched by them.

Source: OCI image-spec manifest.md and config.md; Docker's image manifest V2, schema 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.image.reference import is_digest
from stackr.text import parse_json

__all__ = ["Descriptor", "ImageManifest", "parse_config", "parse_image_manifest"]

_CONFIG_LIMIT: Final = 8 << 20
_BLOB_LIMIT: Final = 64 << 30
_MOST_LAYERS: Final = 500
_CONFIG_TYPES: Final = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_TIME_RE: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_KINDS: Final = {
    **dict.fromkeys(("User", "WorkingDir", "StopSignal", "Hostname", "Domainname"), "text"),
    **dict.fromkeys(("Cmd", "Entrypoint", "Env", "Shell", "OnBuild"), "texts"),
    **dict.fromkeys(("ExposedPorts", "Volumes", "Healthcheck"), "object"),
    "Labels": "labels",
}
_LAYER_TYPES: Final = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


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


def parse_config(raw: bytes, *, name: str) -> dict[str, Any]:
    """An image configuration whose `rootfs.diff_ids` and `config` can be relied on.

    Raises InvalidArgument, and NotSupported for another operating system than Linux.
    """
    try:
        config = parse_json(raw)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise InvalidArgument(f"image config of {name}: is not a JSON object")
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if diff_ids is None:
        diff_ids = []
    if not isinstance(diff_ids, list) or not all(
        isinstance(item, str) and is_digest(item) for item in diff_ids
    ):
        raise InvalidArgument(f"image config of {name}: malformed diff IDs")
    _check_defaults(config.get("config") or {}, name)
    history = config.get("history")
    steps = history if isinstance(history, list) else []
    for dated in (config, *(step for step in steps if isinstance(step, dict))):
        if not _is_time(dated.get("created")):
            raise InvalidArgument(f"image config of {name}: malformed time of creation")
    if config.get("os") not in ("linux", "", None):
        raise NotSupported(
            f'image operating system "{config["os"]}" cannot be used on this platform'
        )
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    return config


def _check_defaults(defaults: object, name: str) -> None:
    """What an image says of the containers made from it: absent, null, or of the right type."""
    if not isinstance(defaults, dict):
        raise InvalidArgument(f"image config of {name}: malformed config")
    for key, value in defaults.items():
        if value is not None and not _is_of_kind(value, _KINDS.get(key)):
            raise InvalidArgument(f"image config of {name}: malformed config: {key}")


def _is_time(value: object) -> bool:
    """Whether `value` is absent, or RFC 3339 and of a day that exists."""
    if value is None or value == "":
        return True
    match = _TIME_RE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return False
    try:
        datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def _is_of_kind(value: object, kind: str | None) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "texts":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "labels":
            return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        case "object":
            return isinstance(value, dict)
        case _:
            return True
