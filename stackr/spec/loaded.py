"""What the phases of a load have made so far: a canonical tree, and what it came from."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from stackr.spec.discover import Discovered
from stackr.spec.session import Session

__all__ = ["Loaded", "Tree"]

Tree: TypeAlias = dict[str, Any]


class Loaded(NamedTuple):
    """A project's canonical tree, before its values are typed."""

    tree: Tree
    found: Discovered
    session: Session
