"""Text of others (registries, archives, programs) that ends up on a terminal or in a log."""

from __future__ import annotations

__all__ = ["printable"]

_UNFIT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text without what would steer a terminal; ends of lines and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else _UNFIT for c in text)
