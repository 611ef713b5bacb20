"""Options that mean nothing on a cluster, each refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stackr.errors import NotSupported

__all__ = ["refuse_given"]

_NONE: Mapping[str, str] = MappingProxyType({})


def refuse_given(
    given: Mapping[str, bool],
    nodes: str,
    *,
    hint: str | None = None,
    hints: Mapping[str, str] = _NONE,
) -> None:
    """given: by option, whether it was. nodes: what they do that the option would. hints: by
    option, what to do instead; hint: of all others. Raises NotSupported for the first given one.
    """
    for name, is_given in given.items():
        if is_given:
            message = f"{name}: not on a cluster, whose nodes {nodes}"
            raise NotSupported(message, hint=hints.get(name, hint))
