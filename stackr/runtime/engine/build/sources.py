"""Where a step's files come from: the context, a named one, a stage's or an image's layers."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Sequence

from stackr.build.reads import copy_digest
from stackr.build.selection import select
from stackr.build.steps import Copy
from stackr.runtime.engine.build.copy_step import FileSource, Part
from stackr.runtime.engine.build.files import Context, Found, content_of
from stackr.runtime.engine.build.merged import MergedFiles
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Origin", "content_digest", "file_source", "origin_digest", "parts_of"]

Origin = Context | tuple[str, ...]
"""A context, or layers by diff ID, base layer first."""


def file_source(context: Context, *, unpacks: bool = True) -> FileSource:
    return FileSource(context.tree, context.find, unpacks=unpacks)


def origin_digest(step: Copy, origin: Origin) -> str:
    """What a copy reads, for its key. Raises DockerfileError."""
    return copy_digest(step, origin if isinstance(origin, tuple) else origin.tree)


def parts_of(step: Copy, origin: Origin, snapshots: Overlay) -> Sequence[Part]:
    """Its sources. Blocking where they are in layers. Raises DockerfileError."""
    if not isinstance(origin, tuple):
        files = file_source(origin)
    else:
        lower = [snapshots.folder(diff_id) for diff_id in dict.fromkeys(reversed(origin))]
        merged = MergedFiles(lower)
        tree = merged.tree(each.lstrip("/") for each in step.sources)
        files = FileSource(tree, merged.find)
    return [(source, files) for source in select(step, files.tree)]


def content_digest(parts: Sequence[Part]) -> str:
    """SHA-256 of what a copy reads from layers: names, kinds, permissions, owners and content.

    Blocking: reads it all. Times do not count.
    """
    sha256 = hashlib.sha256()
    for source, files in parts:
        names = [(source.path, source.name)]
        names += [(_join(source.path, each), f"{source.name}/{each}") for each in source.below]
        names += [(path, f"{name}/") for path, name in source.parents]
        for path, name in names:
            sha256.update(f"{name}\0".encode("utf-8", "surrogateescape"))
            found = files.find(path)
            for piece in _facts(found) if found is not None else ():
                sha256.update(piece)
    return sha256.hexdigest()


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _facts(found: Found) -> Iterator[bytes]:
    facts = (f"{found.mode:o}", *map(str, found.owner), found.target, sorted(found.xattrs.items()))
    yield repr(facts).encode("utf-8", "surrogateescape")
    if stat.S_ISREG(found.mode):
        yield from content_of(found)
