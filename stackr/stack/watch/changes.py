"""Paths as they change, in batches: folders with all below them, and files, also those to come."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, awatch
from watchfiles.main import FileChange

from stackr.errors import StackrError, Unavailable

__all__ = ["changed_paths"]

_QUIET_MS = 100
"""A batch ends when nothing has happened for so long,"""
_LONGEST_MS = 2000
"""or when it has grown for so long."""
_TOGETHER_S = 0.03
"""Both kinds of watches may see the same change; theirs is one batch."""
_LIMIT_HINT = "raise the limit: sysctl fs.inotify.max_user_watches=524288"


async def changed_paths(paths: Sequence[Path]) -> AsyncGenerator[set[Path], None]:
    """What changes at or below these paths, a set at a time; a new folder stands for all in it.

    The first set is empty, and says that nothing is missed from now on. What changes while a set is
    worked on is in the next one. Raises Unavailable where the kernel refuses.
    """
    changed: set[Path] = set()
    is_first = True
    while True:
        roots = {path: _Root.of(path) for path in paths}
        lost: set[Path] = set()
        async with contextlib.aclosing(_batches(roots.values())) as batches:
            async for batch in batches:
                changed |= {path for _, path in batch if _is_below(path, paths)}
                gone = {path for is_gone, path in batch if is_gone}
                lost = {p for p, root in roots.items() if root.is_lost(gone) or root != _Root.of(p)}
                if lost:
                    break
                if changed or is_first:
                    yield changed
                changed, is_first = set(), False
        changed |= {path for path in lost if os.path.lexists(path)}


def _is_below(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


@dataclass(frozen=True, slots=True)
class _Root:
    """How a path is watched: as a folder, and through `near`, the nearest folder that is there.

    `near` alone shows a file, which programs replace rather than write, and what is yet to come.
    """

    folder: Path | None
    near: Path

    @classmethod
    def of(cls, path: Path) -> _Root:
        near = next((each for each in path.parents if each.is_dir()), path)
        return cls(path if path.is_dir() else None, near)

    def is_lost(self, gone: Collection[Path]) -> bool:
        """Whether what was watched went; another may be in its place, which nobody watches."""
        return self.folder in gone or self.near in gone


async def _batches(roots: Iterable[_Root]) -> AsyncGenerator[set[tuple[bool, Path]], None]:
    """Sets of (whether it went away, path). The first one is empty: all is watched now."""
    roots = list(roots)
    sources = [_watch({root.near for root in roots}, recursive=False)]
    if folders := {root.folder for root in roots if root.folder is not None}:
        sources.append(_watch(folders, recursive=True))
    pending = {asyncio.ensure_future(anext(source)): source for source in sources}
    try:
        await asyncio.sleep(0)  # each is open when its first step has been made
        if not any(task.done() for task in pending):
            yield set()
        while True:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(_TOGETHER_S)
            batch: set[tuple[bool, Path]] = set()
            for task in [task for task in pending if task.done()]:
                source = pending.pop(task)
                pending[asyncio.ensure_future(anext(source))] = source
                batch |= {(kind is Change.deleted, Path(path)) for kind, path in task.result()}
            yield batch
    except OSError as error:
        raise _refused(error) from error
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


def _watch(folders: Collection[Path], *, recursive: bool) -> AsyncIterator[set[FileChange]]:
    return awatch(
        *sorted(folders),
        watch_filter=None,
        debounce=_LONGEST_MS,
        step=_QUIET_MS,
        recursive=recursive,
        ignore_permission_denied=True,
    )


def _refused(error: OSError) -> StackrError:
    text = error.strerror or str(error)
    is_limit = "limit" in text.lower() or "no space left" in text.lower()
    return Unavailable(
        f"files cannot be watched: {text.lower()}", hint=_LIMIT_HINT if is_limit else None
    )
