"""What a step reads, as the cache knows it: the same for the engine that builds and for whoever
only asks what a build would do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stackr.build.cache_key import chain_id
from stackr.build.selection import digest_of, select
from stackr.build.steps import Copy, Run
from stackr.build.tree import Tree

__all__ = ["bound", "copy_digest", "options_text"]


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
