"""What a step reads, as the cache knows it: the same for the engine that builds and for whoever
only asks what a build would do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stackr.build.cache_key import chain_id
from stackr.build.selection import digest_of, select
from stackr.build.steps import Copy, Folder, Run
from stackr.build.tree import Tree

__all__ = ["Inputs", "bound", "changed", "copy_digest", "inputs_of", "options_text"]

_MOST_FILES: Final = 1000
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a step has read: build arguments in scope by name, files by path; marks of each."""

    args: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def options_text(host_config: Mapping[str, Any]) -> str:
    """What RUN steps get of the API's `HostConfig`, for their keys."""
    return json.dumps(host_config, sort_keys=True)


def copy_digest(step: Copy, origin: Tree | Sequence[str]) -> str:
    """What a copy reads: of a context by content, of layers (diff IDs) by their chain.

    Raises DockerfileError where a context has nothing that fits.
    """
    if isinstance(origin, Tree):
        return digest_of(select(step, origin), origin)
    return chain_id(origin)


def bound(step: Run) -> dict[int, tuple[str, Copy]]:
    """Of each mount that reads files: its name in the key, and itself as though it were copied.

    By the mount's number. These are bind mounts, and cache mounts that begin with something; the
    copy's `source_image` says where from.
    """
    return {
        number: (
            f"{number} {mount.target}",
            Copy(step.instruction, (mount.source or "/",), "/", mount.source_image),
        )
        for number, mount in enumerate(step.mounts)
        if mount.type == "bind" or (mount.type == "cache" and mount.source_image)
    }


def inputs_of(step: Run | Copy | Folder, args: Mapping[str, str], tree: Tree | None) -> Inputs:
    """What a later look can compare, to say why a step would be done again.

    tree: what a copy reads from, where that is a context. Of values and contents only the start of
    their SHA-256 is told; of more than a thousand files, none.
    """
    files: dict[str, str] = {}
    if isinstance(step, Copy) and tree is not None and step.sources:
        for source in select(step, tree):
            paths = [source.path, *(f"{source.path}/{each}" for each in source.below)]
            files |= {path.lstrip("/"): _mark(tree, path.lstrip("/")) for path in paths}
    files.pop("", None)
    shown = files if len(files) <= _MOST_FILES else {}
    return Inputs({name: _short(value) for name, value in args.items()}, shown)


def _mark(tree: Tree, path: str) -> str:
    file = tree.files.get(path)
    return _short(f"{file.mode:o} {file.digest}") if file is not None else ""


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_SHOWN]


def changed(before: Inputs, now: Inputs) -> list[str]:
    """What differs, each as people call it: `ARG V`, a file's path. Sorted, arguments first."""
    args = _differing(before.args, now.args)
    files = _differing(before.files, now.files) if before.files else []
    return [*(f"ARG {name}" for name in args), *files]


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
