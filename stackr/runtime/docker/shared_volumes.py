"""Another container's volumes, for a dockerd that cannot share them all.

dockerd looks for the volume of each mount that `VolumesFrom` brings along, also of a tmpfs, which
has none: "get: no such volume". What can be shared is named one by one there.
Source: moby, daemon/volumes.go `registerMountPoints`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from stackr.runtime.container import ContainerConfig, Mount
from stackr.runtime.types import ContainerState

__all__ = ["with_shared_volumes"]

_TMPFS = "tmpfs"


async def with_shared_volumes(
    config: ContainerConfig, inspect: Callable[[str], Awaitable[ContainerState]]
) -> ContainerConfig:
    """The same, with mounts in place of each of `volumes_from` that has a tmpfs."""
    left: list[str] = []
    mounts: list[Mount] = [*config.mounts]
    for source in config.volumes_from:
        ref, _, mode = source.partition(":")
        found = (await inspect(ref)).mounts
        if all(mount.type != _TMPFS for mount in found):
            left.append(source)
            continue
        targets = {mount.target for mount in mounts}
        mounts += [
            Mount(
                mount.type,
                mount.target,
                mount.name or mount.source,
                read_only=mount.read_only or mode == "ro",
            )
            for mount in found
            if mount.type != _TMPFS and mount.target not in targets
        ]
    return replace(config, volumes_from=tuple(left), mounts=tuple(mounts))
