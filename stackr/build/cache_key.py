"""What a step's result is remembered by: what is done, on what, with what content; pure.

Times do not count, nor do the predefined proxy arguments and what secrets hold. Everything goes
through SHA-256, so that no build argument can be read from a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stackr.build.mounts import RunMount
from stackr.build.steps import Change, Copy, Folder, Run

__all__ = ["Ground", "chain_id", "key_of"]

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Ground:
    """What a step stands on. layers: diff IDs, base layer first. epoch: SOURCE_DATE_EPOCH or "".

    options: of the build, as far as a RUN step sees them (hosts, limits, network).
    """

    layers: Sequence[str]
    epoch: str = ""
    options: str = ""
    platform: str = ""


def chain_id(layers: Sequence[str]) -> str:
    """Names layers 0..n together. Source: OCI image-spec config.md, "Layer ChainID"."""
    chain = ""
    for layer in layers:
        chain = f"sha256:{_sha256(f'{chain} {layer}')}" if chain else layer
    return chain


def key_of(step: Run | Copy | Folder, ground: Ground, reads: Mapping[str, str]) -> str:
    """The key of a step that may make a layer.

    reads: digest of each thing that it reads: of a COPY its sources, of a RUN what `bind` mounts
    have, by the mount's target.
    """
    document: dict[str, Any] = {
        "version": _VERSION,
        "parent": chain_id(ground.layers),
        "platform": ground.platform,
        "epoch": ground.epoch,
        "reads": dict(sorted(reads.items())),
        "step": _facts(step),
    }
    if isinstance(step, Run):
        document["options"] = ground.options
    return _sha256(json.dumps(document, sort_keys=True))


def _facts(step: Run | Copy | Folder | Change) -> dict[str, Any]:
    match step:
        case Run():
            return {
                "run": step.argv,
                "env": sorted(step.env),
                "dir": step.working_dir,
                "user": step.user,
                "network": step.network,
                "mounts": [_mount_facts(mount) for mount in step.mounts],
                "scripts": [each.content for each in step.scripts],
            }
        case Copy():
            return {
                "copy": step.target,
                "add": step.is_add,
                "sources": step.sources if step.source_image or step.addresses else (),
                "heredocs": [(each.name, each.content) for each in step.heredocs],
                "owner": step.owner,
                "mode": step.mode,
                "parents": step.parents,
                "excludes": step.excludes,
                "checksum": step.checksum,
                "git": step.keep_git_dir,
            }
        case Folder():
            return {"folder": step.path, "user": step.user}
        case Change():
            return {"change": step.instruction.original}


def _mount_facts(mount: RunMount) -> list[object]:
    """A cache's content is no part of it, nor is a secret's."""
    facts: Iterable[object] = (mount.type, mount.target, mount.source, mount.id, mount.read_only)
    return [*facts, mount.env, mount.size, mount.mode, mount.uid, mount.gid]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
