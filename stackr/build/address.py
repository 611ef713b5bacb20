"""Which texts are addresses: of contexts that are fetched, and of sources of ADD; pure.

Source: moby/buildkit, util/gitutil and frontend/dockerfile/dockerfile2llb, `dispatchCopy`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_added_address", "is_git", "is_remote"]

_GIT: Final = re.compile(r"(?:git://|git@|ssh://|(?:https?://)[^#]*\.git(?:#|$|\?)|github\.com/)")
_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_LOCAL_IN_ADD: Final = "github.com/"


def is_git(address: str) -> bool:
    return _GIT.match(address) is not None


def is_remote(address: str) -> bool:
    """Of a context: a repository, an archive or a Dockerfile elsewhere."""
    return is_git(address) or _URL.match(address) is not None


def is_added_address(source: str) -> bool:
    """Of a source of ADD; there `github.com/x` without a scheme is a file."""
    return is_remote(source) and not source.startswith(_LOCAL_IN_ADD)
