"""Where two JSON values differ, by type as well: "80" is not 80, and true is not 1."""

from __future__ import annotations

from typing import Any


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def first_difference(got: Any, want: Any, path: str = "") -> str | None:
    """Where two JSON values differ first, by type as well; None if they do not."""
    if isinstance(got, dict) and isinstance(want, dict):
        for key in sorted(got.keys() | want.keys()):
            if key not in got or key not in want:
                return f"{path}.{key}: {'missing' if key in want else 'not wanted'}"
            difference = first_difference(got[key], want[key], f"{path}.{key}")
            if difference is not None:
                return difference
        return None
    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        pairs = enumerate(zip(got, want, strict=True))
        found = (first_difference(mine, its, f"{path}[{index}]") for index, (mine, its) in pairs)
        return next((difference for difference in found if difference is not None), None)
    same_kind = type(got) is type(want) or (_is_number(got) and _is_number(want))
    return None if same_kind and got == want else f"{path}: {got!r} instead of {want!r}"
