"""`cache_from` and `cache_to`: `type=registry,ref=NAME` and their kin, as values; pure.

Source: docs.docker.com/build/cache/backends; compose-spec build.md.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stackr.build.errors import nearest
from stackr.errors import InvalidArgument, NotSupported

__all__ = ["CacheSource", "CacheTarget", "parse_source", "parse_target"]

_OTHERS: Final = ("gha", "s3", "azblob")
_SOURCES: Final[Mapping[str, frozenset[str]]] = {
    "registry": frozenset({"ref"}),
    "local": frozenset({"src", "tag", "digest"}),
}
_TARGETS: Final[Mapping[str, frozenset[str]]] = {
    "registry": frozenset({"ref", "mode", "ignore-error", "image-manifest", "oci-mediatypes"}),
    "local": frozenset({"dest", "mode", "ignore-error", "image-manifest", "oci-mediatypes"}),
    "inline": frozenset(),
}
_FIXED: Final = ("image-manifest", "oci-mediatypes")
"""What is written is an image manifest with OCI's media types, whatever else could be asked for."""
_NO_USE: Final = ("tag", "digest")


@dataclass(frozen=True, slots=True)
class CacheSource:
    """Where a build may take steps from: `ref`, a name in a registry, or `path`, a folder."""

    ref: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class CacheTarget:
    """Where a build leaves its steps: a name in a registry, a folder, or, with neither, the image.

    is_max: the steps of all stages, not only those that the image is made of.
    """

    ref: str = ""
    path: str = ""
    is_max: bool = False
    ignores_errors: bool = False

    @property
    def is_inline(self) -> bool:
        return not (self.ref or self.path)


def parse_source(text: str) -> CacheSource:
    """Raises InvalidArgument, NotSupported, by the name of what is wrong."""
    kind, fields = _fields(text, "cache_from", _SOURCES)
    for name in _NO_USE:
        if name in fields:
            raise NotSupported(f"cache_from: {text}: {name}: not supported")
    if kind == "registry":
        return CacheSource(ref=_needed(fields, "ref", "cache_from", text))
    return CacheSource(path=_needed(fields, "src", "cache_from", text))


def parse_target(text: str) -> CacheTarget:
    """Raises InvalidArgument, NotSupported, by the name of what is wrong."""
    kind, fields = _fields(text, "cache_to", _TARGETS)
    mode = fields.get("mode", "min")
    if mode not in ("min", "max"):
        raise InvalidArgument(f'cache_to: {text}: mode: "{mode}": min or max')
    for name in _FIXED:
        if not _boolean(fields, name, "cache_to", text, default=True):
            raise NotSupported(f"cache_to: {text}: {name}=false: not supported")
    if kind == "inline":
        return CacheTarget()
    place = {"registry": "ref", "local": "dest"}[kind]
    return CacheTarget(
        **{"ref" if kind == "registry" else "path": _needed(fields, place, "cache_to", text)},
        is_max=mode == "max",
        ignores_errors=_boolean(fields, "ignore-error", "cache_to", text, default=False),
    )


def _fields(
    text: str, what: str, known: Mapping[str, frozenset[str]]
) -> tuple[str, dict[str, str]]:
    """A text without `=` is a name in a registry."""
    parts = next(csv.reader([text]), [])
    if not any(parts):
        raise InvalidArgument(f"{what}: is empty")
    if all("=" not in part for part in parts):
        if len(parts) > 1:
            raise InvalidArgument(f"{what}: {text}: type=TYPE is expected")
        return "registry", {"ref": text}
    fields = {}
    for part in parts:
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise InvalidArgument(f"{what}: {text}: {part}: KEY=VALUE is expected")
        fields[name.lower()] = value
    kind = fields.pop("type", "")
    if kind in _OTHERS or (kind == "inline" and kind not in known):
        raise NotSupported(f"{what}: {text}: type={kind}: not supported: {', '.join(known)} are")
    if kind not in known:
        raise InvalidArgument(f'{what}: {text}: type: "{kind}": one of {", ".join(known)}')
    for name in fields:
        if name not in known[kind]:
            near = nearest(name, known[kind])
            raise NotSupported(f"{what}: {text}: {name}: not supported for type={kind}{near}")
    return kind, fields


def _needed(fields: Mapping[str, str], name: str, what: str, text: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise InvalidArgument(f"{what}: {text}: {name} is missing")
    return value


def _boolean(fields: Mapping[str, str], name: str, what: str, text: str, *, default: bool) -> bool:
    value = fields.get(name, str(default)).lower()
    if value not in ("true", "1", "false", "0"):
        raise InvalidArgument(f'{what}: {text}: {name}: "{value}": true or false')
    return value in ("true", "1")
