"""Whose copy of a stack an isolated one is: its name, and the folder that it goes with.

Without a name, a copy is called after the git worktree that its files are in; of what is no linked
worktree, whose name git does not keep apart from others, after the folder, with four digits of the
hash of its path. So the same folder has the same copy, whatever branch it is on, and two have two.
Source: gitrepository-layout(5), `worktrees/<id>`.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stackr.errors import InvalidArgument
from stackr.spec.discover import normalize_name

__all__ = ["VARIABLE", "Worktree", "copy_name", "wish_of", "worktree_of"]

VARIABLE = "STACKR_ISOLATED"
_TRUE = frozenset(("1", "t", "true", "y", "yes"))
_FALSE = frozenset(("", "0", "f", "false", "n", "no"))
_LONGEST_NAME = 40
_GIT_FILE_BYTES = 4096


class Worktree(NamedTuple):
    """root: its folder. linked: the name that git has for it; "" for none that is linked."""

    root: str
    linked: str = ""


def wish_of(environ: Mapping[str, str]) -> str | None:
    """What STACKR_ISOLATED asks for: a copy's name, "" for the folder's own; None for no copy."""
    text = environ.get(VARIABLE, "")
    if text.lower() in _FALSE:
        return None
    return "" if text.lower() in _TRUE else text


def copy_name(wish: str, stack: str, worktree: Worktree) -> str:
    """The copy's name. wish: as it was given, "" for the folder's own.

    Raises InvalidArgument for what no project's name can end with.
    """
    return _checked(wish) if wish else default_name(stack, worktree)


def default_name(stack: str, worktree: Worktree) -> str:
    """`feature-x` for a linked worktree, else `shop-3f2a`; what the stack's name says goes."""
    digits = hashlib.sha256(worktree.root.encode(errors="surrogateescape")).hexdigest()[:4]
    name = normalize_name(worktree.linked or posixpath.basename(worktree.root))[:_LONGEST_NAME]
    if not name or name == stack:
        return digits
    return name if worktree.linked else f"{name}-{digits}"


def _checked(name: str) -> str:
    if normalize_name(name) == name and len(name) <= _LONGEST_NAME:
        return name
    possible = normalize_name(re.sub(r"[^A-Za-z0-9_]+", "-", name.strip()))[:_LONGEST_NAME]
    raise InvalidArgument(
        f'--isolated: "{name}" cannot be a name: lowercase letters, digits, hyphens and '
        f"underscores are expected, {_LONGEST_NAME} at most",
        hint=f'"{possible}" can be one' if possible else None,
    )


def worktree_of(folder: str) -> Worktree:
    """The git worktree around a folder; the folder itself where it is in none."""
    for each in (Path(folder), *Path(folder).parents):
        try:
            marker = each / ".git"
            if marker.is_dir():
                return Worktree(str(each))
            if marker.is_file():
                return Worktree(str(each), _linked(marker))
        except OSError:
            continue
    return Worktree(folder)


def _linked(marker: Path) -> str:
    with marker.open(encoding="utf-8", errors="surrogateescape") as file:
        _, _, path = file.read(_GIT_FILE_BYTES).partition("gitdir:")
    parent, name = posixpath.split(path.strip())
    return name if posixpath.basename(parent) == "worktrees" else ""
