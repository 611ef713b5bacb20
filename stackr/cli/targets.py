"""The words of a command line: which are stack files, and which are services.

A word that is a file (`stack.yml`, `./dir/stack`) is a stack file, any other is a service's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Targets", "split_targets"]


@dataclass(frozen=True, slots=True)
class Targets:
    """The words of a command line: stack files, and services in the order given."""

    files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


def split_targets(
    words: Iterable[str] | None, *, is_file: Callable[[str], bool] = os.path.exists
) -> Targets:
    """Tell stack files from services' names; `-` is the stack file on stdin."""
    files: list[str] = []
    services: list[str] = []
    for word in words or ():
        named_like_a_file = word == "-" or word.endswith((".yml", ".yaml"))
        (files if named_like_a_file or ("/" in word and is_file(word)) else services).append(word)
    return Targets(tuple(files), tuple(services))
