"""Volumes and containers of a size, on a file system with project quotas, and on one without."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from container_engine import Engine, refused
from small_disk import unmount

from stackr.errors import InvalidArgument
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.syscalls import quotactl_fd
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
        file.truncate(64 * MIB)
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


async def test_a_container_writes_no_more_than_its_size(tmp_path: Path, has_quotas: bool) -> None:
    engine = await Engine.open(tmp_path)
    folders = tmp_path / "data/snapshots/c"
    try:
        if not has_quotas:
            error = await refused(engine.create("c1", ["true"], StorageOpt={"size": "2m"}))
            assert "--storage-opt is supported only for overlay over xfs with" in error.message
            assert os.listdir(folders) == []
            return
        write = "dd if=/dev/zero of=/f bs=64k count=64; stat -c %s /f; rm /f; echo more >/etc/x"
        for name in ("c1", "c2"):
            await engine.create(name, ["sh", "-c", write], StorageOpt={"size": "2m"})
        assert engine.containers.get("c1").host_config.storage_opt == {"size": "2m"}
        await engine.close()
        engine = await Engine.open(tmp_path)
        for _ in range(2):  # what is deleted counts no more, at the next start neither
            await engine.containers.start("c1")
            await engine.containers.wait("c1")
        sizes = [int(n) for n in (await engine.output("c1")).split() if n.isdecimal()]
        assert [MIB < size <= 2 * MIB for size in sizes] == [True, True]
        projects = {project_of(folder) for folder in folders.iterdir()}
        assert [limit_of(project, folders) for project in projects] == [2 * MIB // 512] * 2
        for name in ("c1", "c2"):
            await engine.containers.remove(name, force=True)
        assert os.listdir(folders) == []
        assert [limit_of(project, folders) for project in projects] == [0, 0]
    finally:
        await engine.clear()
        await engine.close()


def project_of(folder: Path) -> int:
    """The number of a folder's project: struct fsxattr of linux/fs.h, by FS_IOC_FSGETXATTR."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        attributes = fcntl.ioctl(fd, 0x801C581F, bytes(28))
    finally:
        os.close(fd)
    return int.from_bytes(attributes[12:16], sys.byteorder)


def limit_of(project: int, mounted: Path) -> int:
    """In blocks of 512 bytes: struct fs_disk_quota of linux/dqblk_xfs.h, by Q_XGETQUOTA."""
    fd = os.open(mounted, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = quotactl_fd(fd, 0x5803 << 8 | 2, project, bytes(112))
    finally:
        os.close(fd)
    return int.from_bytes(found[8:16], sys.byteorder)


def written(path: Path) -> int:
    """How many bytes of 4 MiB there is room for, to one who may not pass over quotas as root may
    on ext4; containers may not, unless they are given SYS_RESOURCE.
    """
    as_contained = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
    copy = ["dd", "if=/dev/zero", f"of={path}", "bs=64k", "count=64"]
    subprocess.run([*as_contained, *copy], capture_output=True, timeout=600)
    return path.stat().st_size
