"""Another container's volumes, where dockerd cannot share them all."""

from __future__ import annotations

from stackr.runtime.container import ContainerConfig, Mount
from stackr.runtime.docker.shared_volumes import with_shared_volumes
from stackr.runtime.types import ContainerState, MountState

VOLUME = MountState("volume", "/data", "/var/lib/docker/volumes/d/_data", name="d")
BIND = MountState("bind", "/etc/app", "/srv/app", read_only=True)
TMPFS = MountState("tmpfs", "/run")


async def _inspect(ref: str) -> ContainerState:
    mounts = {"plain": (VOLUME, BIND), "mixed": (TMPFS, VOLUME, BIND)}[ref]
    return ContainerState(id=ref, name=ref, mounts=mounts)


async def test_a_tmpfs_is_left_out_and_what_can_be_shared_is_named() -> None:
    own = Mount("volume", "/data", "mine")
    config = ContainerConfig(image="app", volumes_from=("plain:ro", "mixed:ro"), mounts=(own,))
    made = await with_shared_volumes(config, _inspect)
    assert made.volumes_from == ("plain:ro",)
    assert made.mounts == (own, Mount("bind", "/etc/app", "/srv/app", read_only=True))
    made = await with_shared_volumes(ContainerConfig("app", volumes_from=("mixed",)), _inspect)
    assert made.mounts[0] == Mount("volume", "/data", "d")
