"""Volumes of a size, on a file system that has project quotas, and on one that has none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import unmount

from stackr.errors import InvalidArgument
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.state import State
from stackr.runtime.engine.volume import Volumes

pytestmark = pytest.mark.root

MIB = 1 << 20


@pytest.fixture
def has_quotas(tmp_path: Path) -> Iterator[bool]:
    """Whether the folder `data` is on such a file system: not every kernel has what ext4 needs."""
    disk, data = tmp_path / "disk", tmp_path / "data"
    data.mkdir()
    with disk.open("wb") as file:
        file.truncate(32 * MIB)
    made = ["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", str(disk)]
    subprocess.run(made, check=True)
    mounted = subprocess.run(["mount", "-o", "loop,prjquota", disk, data], capture_output=True)
    yield mounted.returncode == 0
    if mounted.returncode == 0:
        unmount(data)


async def test_a_volume_holds_no_more_than_its_size(tmp_path: Path, has_quotas: bool) -> None:
    config = EngineConfig.at(tmp_path / "data", tmp_path / "run")
    state = State.open(tmp_path / "state.db")
    volumes = Volumes(config, state, EventBus())
    await volumes.open()
    try:
        if not has_quotas:
            with pytest.raises(InvalidArgument, match="create v1: quota size requested but no quo"):
                await volumes.create("v1", driver_opts={"size": "2m"})
            assert os.listdir(config.volumes_root) == []
            return
        first, second = [await volumes.create(n, driver_opts={"size": "2m"}) for n in ("v1", "v2")]
        (first.mountpoint / "below").mkdir()
        assert written(first.mountpoint / "below" / "file") <= 2 * MIB
        assert written(second.mountpoint / "file") > MIB  # each has its own
        (first.mountpoint / "below" / "file").unlink()
        assert MIB < written(first.mountpoint / "again") <= 2 * MIB
        await volumes.remove("v1")
        assert written((await volumes.create("v3")).mountpoint / "file") == 4 * MIB
    finally:
        state.close()


def written(path: Path) -> int:
    """How many bytes of 4 MiB there is room for, to one who may not pass over quotas as root may
    on ext4; containers may not, unless they are given SYS_RESOURCE.
    """
    as_contained = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
    copy = ["dd", "if=/dev/zero", f"of={path}", "bs=64k", "count=64"]
    subprocess.run([*as_contained, *copy], capture_output=True, timeout=600)
    return path.stat().st_size
