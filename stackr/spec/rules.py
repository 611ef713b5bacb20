"""Tables of rules keyed by path, as "services.*.ports.[]", and the walk that applies them.

In a pattern `*` stands for any key or list item, `[]` for any list item. A walk only enters the
branches that some pattern names, so that what no rule speaks of costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes from the root of a stack file."""

Rule = TypeVar("Rule")
Context = TypeVar("Context")
Transform: TypeAlias = Callable[[Any, "Branch[Any]", Path, Context], Any]
"""(value, the branch of the table below it, its path, what the phase needs) -> the new value."""

ITEM = "[]"
ANY = "*"


def show(path: Path) -> str:
    """Write a path as users do: services.web.ports[0]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def parse(text: str) -> Path:
    """Read what `show` has written; keys with dots in them are split."""
    parts: list[str | int] = []
    for name in text.replace("[", ".[").split("."):
        if name.startswith("[") and name.endswith("]") and name[1:-1].isdigit():
            parts.append(int(name[1:-1]))
        elif name:
            parts.append(name)
    return tuple(parts)


def find(tree: Any, text: str) -> Path | None:
    """Where in a tree a text leads, by the longest keys that fit: keys may have dots in them."""
    if not text:
        return ()
    if isinstance(tree, list):
        match = re.match(r"\[?(\d+)\]?\.?", text)
        if match is None or int(match[1]) >= len(tree):
            return None
        below = find(tree[int(match[1])], text[match.end() :])
        return None if below is None else (int(match[1]), *below)
    for key in sorted(tree, key=len, reverse=True) if isinstance(tree, dict) else ():
        rest = text.removeprefix(key)
        if text.startswith(key) and (not rest or rest[0] in ".["):
            below = find(tree[key], rest.removeprefix("."))
            if below is not None:
                return (key, *below)
    return None


class Branch(Generic[Rule]):
    """A place in a table: the rule for it, if any, and the branches below."""

    __slots__ = ("children", "rule", "wildcard")

    def __init__(self) -> None:
        self.rule: Rule | None = None
        self.children: dict[str, Branch[Rule]] = {}
        self.wildcard: Branch[Rule] | None = None

    def below(self, part: str | int) -> Branch[Rule] | None:
        """The branch for a key or an index."""
        name = part if isinstance(part, str) else ITEM
        return self.children.get(name) or self.wildcard


def table(rules: Mapping[str, Rule]) -> Branch[Rule]:
    """Build a table; no pattern may compete with another (a name beside `*`)."""
    root: Branch[Rule] = Branch()
    for pattern, rule in rules.items():
        branch = root
        for part in pattern.split("."):
            if part == ANY:
                branch.wildcard = branch = branch.wildcard or Branch()
            else:
                branch = branch.children.setdefault(part, Branch())
        branch.rule = rule
    return root


def apply(value: Any, branch: Branch[Transform[Context]], path: Path, context: Context) -> Any:
    """Apply the rules at and below `path`; maps and lists are changed in place.

    A rule answers for everything below it: it calls `descend` where the table goes on.
    """
    if branch.rule is not None:
        return branch.rule(value, branch, path, context)
    return descend(value, branch, path, context)


def descend(value: Any, branch: Branch[Transform[Context]], path: Path, context: Context) -> Any:
    """Apply the rules below `path` only."""
    if isinstance(value, dict):
        if branch.wildcard is not None:
            for key in list(value):
                child = branch.children.get(key) or branch.wildcard
                value[key] = apply(value[key], child, (*path, key), context)
        else:
            for name, child in branch.children.items():
                if name in value:
                    value[name] = apply(value[name], child, (*path, name), context)
    elif isinstance(value, list):
        item = branch.below(0)
        if item is not None:
            for index, entry in enumerate(value):
                value[index] = apply(entry, item, (*path, index), context)
    return value
