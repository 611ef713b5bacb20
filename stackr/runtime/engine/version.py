"""The versions of the Engine API that the engine speaks."""

from __future__ import annotations

__all__ = ["API_VERSION", "MIN_API_VERSION", "version_text"]

API_VERSION = (1, 47)
MIN_API_VERSION = (1, 24)


def version_text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
