"""What an image's name means where one is pulled, and where one is given."""

from __future__ import annotations

from stackr.errors import InvalidArgument
from stackr.registry.reference import Reference, parse_reference

__all__ = ["pullable", "taggable"]


def pullable(reference: str) -> Reference:
    """A digest wins over a tag, as with Docker."""
    name = parse_reference(reference).with_default_tag()
    return name.with_digest(name.digest) if name.digest else name


def taggable(text: str) -> Reference:
    """A tag. Raises InvalidArgument with Docker's texts."""
    name = parse_reference(text)
    if name.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    if name.familiar_name == "sha256":
        raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
    return name.with_default_tag()
