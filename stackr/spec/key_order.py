"""The order of a map's keys in YAML, as go-yaml v3 writes them: numbers in names count as such.

`s2` stands before `s10`, `a_b` before `aa`; right after digits letters come before other signs.
Source: go-yaml v3, sorter.go.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str | tuple[int, int], ...]

_DIGITS = re.compile("([0-9]+)")
_SIGNS, _NUMBER, _LETTERS = 0x10000, chr(0x6FFFF), 0x70000
_HIGHEST = 0x3FFFF


class _Ranks(dict[int, int]):
    """Characters so that all letters come after all signs, for str.translate."""

    def __missing__(self, point: int) -> int:
        start = _LETTERS if chr(point).isalpha() else _SIGNS
        self[point] = start + min(point, _HIGHEST)
        return self[point]


_RANKS = _Ranks()


def sort_key(name: str) -> Key:
    """What names are to be sorted by."""
    if name.isascii() and name.isalpha():
        return (name.translate(_RANKS),)
    words = _DIGITS.split(name)
    key: list[str | tuple[int, int]] = []
    for index, word in enumerate(words):
        if index % 2:
            key.append((int(word[:1000]), len(word)))
            continue
        follows = index > 0
        text = word.translate(_RANKS)
        if follows and word[:1].isalpha():
            text = word[0] + text[1:]
        key.append(text if index == len(words) - 1 else text + _NUMBER)
    return tuple(key)


def in_order(tree: dict[str, Any]) -> dict[str, Any]:
    """The same map, its keys in order."""
    return {key: tree[key] for key in sorted(tree, key=sort_key)} if len(tree) > 1 else tree


def all_in_order(value: Any) -> Any:
    """The same tree, the keys of all of its maps in order."""
    if isinstance(value, dict):
        return in_order({key: all_in_order(entry) for key, entry in value.items()})
    if isinstance(value, list):
        return [all_in_order(entry) for entry in value]
    return value
