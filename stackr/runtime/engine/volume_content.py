"""The first content of an empty volume, which comes from an image: all of it, or nothing.

It is copied beside the volume's folder and moved into it when it is whole. A crash leaves a copy
under one of two names: of one that is not whole, which is dropped, or of one whose move is finished
by the next start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stackr.runtime.engine.linux.syscalls import rename_new
from stackr.runtime.engine.linux.tree import copy_attributes, remove_tree

__all__ = ["fill", "recover"]

_COPYING = "_copying"
_MOVING = "_moving"


def fill(folder: Path, target: int, copy: Callable[[int], bool]) -> None:
    """Let `copy` fill a folder, where it is empty. One caller a volume. Raises OSError.

    folder: the volume's. target: a descriptor of it, or of a folder in it. copy: gets a descriptor;
    False where there is nothing to copy, and the folder stays as it is.
    """
    if os.listdir(target):
        return
    copying, moving = folder.with_name(_COPYING), folder.with_name(_MOVING)
    remove_tree(copying)
    copying.mkdir(mode=0o700)
    try:
        with _opened(copying) as made:
            is_whole = copy(made)
        if is_whole and _same(folder, target):
            copying.rename(moving)
        elif is_whole:
            _move(copying, target)
    finally:
        remove_tree(copying)
    if moving.exists():
        _move(moving, target)


def recover(folder: Path) -> None:
    """Finish or undo what an earlier process had begun."""
    remove_tree(folder.with_name(_COPYING))
    if (moving := folder.with_name(_MOVING)).exists():
        with _opened(folder) as target:
            _move(moving, target)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _same(folder: Path, target: int) -> bool:
    """What is moved into a part of the volume is not finished by a later start."""
    return os.path.samestat(folder.stat(), os.fstat(target))


def _move(made: Path, target: int) -> None:
    """What is there already, of a container that was quicker, stays as it is."""
    for name in os.listdir(os.fsencode(made)):
        rename_new(os.path.join(os.fsencode(made), name), target, name)
    with _opened(made) as source:
        copy_attributes(source, target)
    remove_tree(made)
