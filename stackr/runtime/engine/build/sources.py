"""Where a step's files come from: the context, a named one, a stage's or an image's layers."""

from __future__ import annotations

from collections.abc import Sequence

from stackr.build.cache_key import chain_id
from stackr.build.selection import digest_of, select
from stackr.build.steps import Copy
from stackr.runtime.engine.build.copy_step import FileSource, Part
from stackr.runtime.engine.build.files import Context
from stackr.runtime.engine.build.merged import MergedFiles
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["Origin", "file_source", "origin_digest", "parts_of"]

Origin = Context | tuple[str, ...]
"""A context, or layers by diff ID, base layer first."""


def file_source(context: Context, *, unpacks: bool = True) -> FileSource:
    return FileSource(context.tree, context.find, unpacks=unpacks)


def origin_digest(step: Copy, origin: Origin) -> str:
    """What a copy reads, for its key: by content, or by the layers that it reads from.

    Raises DockerfileError where a context has nothing that fits.
    """
    if not isinstance(origin, tuple):
        return digest_of(select(step, origin.tree), origin.tree)
    return chain_id(origin)


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
