"""Keys of JSON objects as Go's decoder matches them: in any case, the exact one first; pure.

Source: Go's encoding/json, "Unmarshal".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["matched"]


def matched(body: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The object with the known keys in their own spelling; others stay as they are."""
    found = dict(body)
    strange = [key for key in body if key not in known]
    if not strange:
        return found
    spelled = {key.lower(): key for key in known}
    for key in strange:
        name = spelled.get(key.lower())
        if name is not None and name not in found:
            found[name] = found.pop(key)
    return found
