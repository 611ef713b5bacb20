"""Names of processors: the kernel's and other people's, and Go's, which images go by.

Source: github.com/containerd/platforms, database.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["ARCHITECTURES", "go_architecture"]

ARCHITECTURES: Final[Mapping[str, tuple[str, str]]] = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
"""Go's name and the variant that is implied, by a name that is not Go's."""


def go_architecture(name: str) -> str:
    """`x86_64` -> `amd64`; one that is Go's already, or unknown, stays."""
    return ARCHITECTURES.get(name, (name, ""))[0]
