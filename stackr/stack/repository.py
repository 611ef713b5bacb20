"""The git work tree that a stack file is in: its root, its commit, and where it comes from."""

from __future__ import annotations

from typing import NamedTuple

from stackr.errors import StackrError
from stackr.stack.git_files import git

__all__ = ["Checkout", "checkout_of"]


class Checkout(NamedTuple):
    """root: the work tree's folder. revision: of HEAD, 40 digits. remote: the address of origin.

    Each is "" where there is none.
    """

    root: str = ""
    revision: str = ""
    remote: str = ""


def checkout_of(folder: str) -> Checkout:
    """The work tree around a folder; nothing where that is in none, or there is no git."""
    root = _answer(folder, "rev-parse", "--show-toplevel")
    if not root:
        return Checkout()
    revision = _answer(root, "rev-parse", "--verify", "--quiet", "HEAD")
    return Checkout(root, revision, _answer(root, "config", "--get", "remote.origin.url"))


def _answer(folder: str, *arguments: str) -> str:
    try:
        return git(folder, *arguments).rstrip("\n")
    except StackrError:
        return ""
