"""Digests: how content is named, verified and shown. Source: OCI image-spec descriptor.md."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from stackr.errors import InvalidArgument

__all__ = ["DigestMismatch", "digest_of", "is_digest", "short_id"]

_SHA256_RE: Final = re.compile(r"sha256:[0-9a-f]{64}")


class DigestMismatch(InvalidArgument):
    """What arrived is not what its digest promises."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether `text` is a digest that stackr can verify: sha256, 64 lower-case hex digits."""
    return _SHA256_RE.fullmatch(text) is not None


def short_id(digest: str) -> str:
    """The first 12 hex digits, as Docker shows images and layers."""
    return digest.partition(":")[2][:12] if ":" in digest else digest[:12]
