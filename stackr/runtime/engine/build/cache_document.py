"""Steps of a build as another engine reads them: in a manifest of their own, or in an image; pure.

A manifest of its own has the layers, and this document as its configuration; an image has the
records under a key of its configuration, and its layers anyway. Nothing of it is trusted: what does
not name a layer that is there, by its digest, is left out, and too much is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from stackr.errors import InvalidArgument, NotSupported
from stackr.registry.digest import digest_of, is_digest
from stackr.registry.manifest import Descriptor, descriptor
from stackr.runtime.engine.build.cache import CacheRecord
from stackr.text import parse_json

__all__ = [
    "CONFIG_TYPE",
    "MOST_BYTES",
    "SharedCache",
    "cache_config",
    "inlined",
    "read_shared",
    "used_records",
]

CONFIG_TYPE: Final = "application/vnd.stackr.buildcache.v1+json"
MOST_BYTES: Final = 8 << 20
_INLINE: Final = "io.stackr.buildcache.v1"
_VERSION: Final = 1
_MOST_RECORDS: Final = 20_000
_MOST_TEXT: Final = 1 << 16
_KEY: Final = re.compile(r"(?:image-)?[0-9a-f]{64}")
_CREATED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
_KINDS: Final = ("regular", "internal")


@dataclass(frozen=True, slots=True)
class SharedCache:
    """records: by key. layers: where each is, by its diff ID."""

    records: Mapping[str, CacheRecord]
    layers: Mapping[str, Descriptor]


def cache_config(records: Iterable[CacheRecord]) -> tuple[bytes, tuple[str, ...]]:
    """The document, and the diff IDs of its layers in the order of the manifest."""
    listed = list(records)
    diff_ids = tuple(dict.fromkeys(each.diff_id for each in listed if each.diff_id))
    document = {"version": _VERSION, "layers": diff_ids, "records": list(map(_entry, listed))}
    return _encoded(document), diff_ids


def inlined(config: bytes, records: Iterable[CacheRecord]) -> bytes:
    """An image's configuration with the records in it."""
    return _encoded({**parse_json(config), _INLINE: list(map(_entry, records))})


def _entry(record: CacheRecord) -> dict[str, Any]:
    return {
        "key": record.key,
        "layer": record.diff_id,
        "size": record.size_bytes,
        "created": record.created,
        "description": record.description,
        "parent": record.parent,
        "kind": record.kind,
    }


def _encoded(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.encode("utf-8", "replace")


def read_shared(manifest: Mapping[str, Any], config: bytes, *, name: str) -> SharedCache:
    """Raises InvalidArgument for what is damaged, NotSupported for an image without records."""
    what = f"cache {name}"
    layers = _layers(manifest, what)
    if digest_of(config) != descriptor(manifest.get("config"), what).digest:
        raise InvalidArgument(f"{what}: the configuration is another one than the manifest names")
    try:
        document = parse_json(config)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise InvalidArgument(f"{what}: is not a JSON object")
    diff_ids, entries = _parts(document, what)
    if len(diff_ids) != len(layers):
        raise InvalidArgument(f"{what}: {len(diff_ids)} diff IDs for {len(layers)} layers")
    known = dict(zip(diff_ids, layers, strict=True))
    found = (_record(each, known) for each in entries)
    return SharedCache({each.key: each for each in found if each is not None}, known)


def _layers(manifest: Mapping[str, Any], what: str) -> list[Descriptor]:
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) > _MOST_RECORDS:
        raise InvalidArgument(f"{what}: malformed manifest")
    return [descriptor(layer, what) for layer in layers]


def _parts(document: Mapping[str, Any], what: str) -> tuple[list[str], list[Any]]:
    """The diff IDs of the layers, and what is recorded."""
    if _INLINE in document:
        rootfs = document.get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        entries = document[_INLINE]
    elif "records" in document:
        if document.get("version") != _VERSION:
            raise NotSupported(f"{what}: of another version of stackr")
        diff_ids, entries = document.get("layers"), document["records"]
    else:
        raise NotSupported(f"{what}: has no steps of builds in it")
    if not isinstance(entries, list) or len(entries) > _MOST_RECORDS:
        raise InvalidArgument(f"{what}: malformed, or more than {_MOST_RECORDS} steps")
    if not isinstance(diff_ids, list) or not all(
        isinstance(each, str) and is_digest(each) for each in diff_ids
    ):
        raise InvalidArgument(f"{what}: malformed diff IDs")
    return diff_ids, entries


def _record(entry: Any, layers: Mapping[str, Descriptor]) -> CacheRecord | None:
    if not isinstance(entry, dict):
        return None
    key, diff_id, created = (entry.get(name) for name in ("key", "layer", "created"))
    texts = [entry.get(name) for name in ("description", "parent", "kind")]
    size = entry.get("size")
    if (
        not (isinstance(key, str) and _KEY.fullmatch(key))
        or not (isinstance(diff_id, str) and (not diff_id or diff_id in layers))
        or not (isinstance(created, str) and _is_time(created))
        or not all(isinstance(each, str) and len(each) <= _MOST_TEXT for each in texts)
        or texts[2] not in _KINDS
        or not (isinstance(size, int) and 0 <= size < 1 << 62)
    ):
        return None
    description, parent, kind = map(str, texts)
    return CacheRecord(
        key, diff_id, size, created, description=description, parent=parent, kind=kind
    )


def _is_time(text: str) -> bool:
    """RFC 3339."""
    if not _CREATED.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def used_records(records: Sequence[CacheRecord], layers: Iterable[str]) -> list[CacheRecord]:
    """Those that an image of these layers is made of."""
    own = {"", *layers}
    return [each for each in records if each.diff_id in own]
