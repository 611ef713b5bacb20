"""Platforms: which of an index's manifests fits this host, or the one that was asked for.

Names are Go's (amd64, arm64); source: OCI image-spec image-index.md "platform", and the
normalisation of github.com/containerd/platforms.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.architecture import ARCHITECTURES

__all__ = ["Platform", "check_made_for", "choose_manifest", "host_platform", "parse_platform"]

_KNOWN: Final = frozenset(("386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"))
_DEFAULT_VARIANTS: Final = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
_PART_RE: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Platform:
    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def effective_variant(self) -> str:
        """An empty variant means the architecture's usual one."""
        return self.variant or _DEFAULT_VARIANTS.get(self.architecture, "")


def _normalized(os_name: str, architecture: str, variant: str) -> Platform:
    architecture = architecture.lower()
    architecture, implied = ARCHITECTURES.get(architecture, (architecture, ""))
    variant = (variant or implied).lower()
    if variant.isdigit():
        variant = f"v{variant}"
    if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    return Platform(os_name.lower(), architecture, variant)


def host_platform() -> Platform:
    return _normalized("linux", os.uname().machine, "")


def parse_platform(text: str) -> Platform:
    """`linux/arm64/v8`, `linux/amd64`, `linux` (this host's architecture) or `arm64`.

    Raises InvalidArgument, with Docker's text for another operating system than Linux.
    """
    platform = _parsed(text)
    if platform.os != "linux":
        raise InvalidArgument(f'platform "{text}": operating system is not supported')
    return platform


def _parsed(text: str) -> Platform:
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(map(_PART_RE.fullmatch, parts)):
        raise InvalidArgument(f'"{text}": platform: is not of the form os[/architecture[/variant]]')
    if len(parts) == 1 and parts[0].lower() in _KNOWN | ARCHITECTURES.keys():
        return _normalized("linux", parts[0], "")
    if len(parts) == 1:
        host = host_platform()
        return _normalized(parts[0], host.architecture, host.variant)
    return _normalized(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def platform_of(value: object) -> Platform | None:
    """The platform of an image configuration or of an index's entry; None where it has none."""
    if not isinstance(value, Mapping):
        return None
    names = [value.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(name, str) for name in names) or not names[0] or not names[1]:
        return None
    return _normalized(*names)


def check_made_for(image: Mapping[str, Any], wanted: Platform, *, name: str) -> None:
    """Raise NotFound, with Docker's text, where an image is for another platform than is wanted.

    image: its `os`, `architecture` and `variant`.
    """
    found = platform_of(image)
    if found is not None and not matches(found, wanted):
        raise NotFound(
            f"image with reference {name} was found but its platform ({found}) does not match the"
            f" specified platform ({wanted})"
        )


def matches(found: Platform, wanted: Platform) -> bool:
    """Whether `found` is `wanted`; an unnamed variant of ARM fits any, of amd64 the first alone."""
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        return False
    return found.effective_variant == wanted.effective_variant


def choose_manifest(index: Mapping[str, Any], wanted: Platform, *, name: str) -> Mapping[str, Any]:
    """The descriptor of an index's manifest for `wanted`: the first that matches, or else, for
    ARM, the one with the nearest lower variant.

    Raises NotFound that lists what there is; InvalidArgument for an index that is malformed.
    """
    entries = index.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidArgument(f"manifest for {name}: malformed index")
    offered = [(platform_of(entry.get("platform")), entry) for entry in entries]
    for platform, entry in offered:
        if platform is not None and matches(platform, wanted):
            return dict(entry)
    lower = [
        (platform.effective_variant, entry)
        for platform, entry in offered
        if platform is not None
        and wanted.architecture == platform.architecture == "arm"
        and platform.os == wanted.os
        and platform.effective_variant < wanted.effective_variant
    ]
    if lower:
        return dict(max(lower, key=lambda item: item[0])[1])
    available = sorted({str(p) for p, _ in offered if p is not None and p.os != "unknown"})
    raise NotFound(
        f"no matching manifest for {wanted} in the manifest list entries of {name}:"
        f" available: {', '.join(available) or 'none'}"
    )
