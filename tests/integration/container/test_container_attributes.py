"""Attributes that only some hosts can give, or that reach beyond the container, on this kernel."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container_engine import PASSWD, Engine, refused
from small_disk import unmount

from stackr.errors import InvalidArgument, NotFound, NotSupported
from stackr.runtime.engine.container.settings.spec import parse_update
from stackr.runtime.engine.linux import cgroup

pytestmark = pytest.mark.root

HIERARCHY = cgroup.detect()
V1 = not HIERARCHY.is_v2
MIB = 1 << 20


def disk_of(path: Path) -> str:
    """The block device that holds a path, whole; "" where it is none (overlayfs, tmpfs)."""
    number = path.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not device.exists():
        return ""
    device = device.resolve()
    name = device.parent.name if (device / "partition").exists() else device.name
    return f"/dev/{name}" if Path(f"/dev/{name}").is_block_device() else ""


DISK = disk_of(Path("/tmp"))
needs_disk = pytest.mark.skipif(not DISK, reason="/tmp is on no block device")


def read(engine: Engine, id: str, controller: str, file: str, parent: str = "") -> str:
    group = f"{parent or engine.config.cgroup_parent}/{id}"
    folder = HIERARCHY.path(group, controller)
    assert folder is not None
    return (folder / file).read_text().strip()


async def running(engine: Engine, name: str = "box", **settings: Any) -> str:
    id = await engine.create(name, ["sleep", "600"], StopSignal="SIGKILL", **settings)
    await engine.containers.start(id)
    return id


# --- block devices -----------------------------------------------------------------------------


@needs_disk
async def test_reads_and_writes_of_a_device_are_throttled(engine: Engine) -> None:
    number = os.stat(DISK).st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"
    limits: dict[str, Any] = {
        "BlkioDeviceReadBps": [{"Path": DISK, "Rate": 50 * MIB}],
        "BlkioDeviceWriteBps": [{"Path": DISK, "Rate": 2 * MIB}],
        "BlkioDeviceReadIOps": [{"Path": DISK, "Rate": 5000}],
        "BlkioDeviceWriteIOps": [{"Path": DISK, "Rate": 3000}],
    }
    id = await running(engine, **limits)
    if V1:
        expected = {
            "read_bps": f"{device} {50 * MIB}",
            "write_bps": f"{device} {2 * MIB}",
            "read_iops": f"{device} 5000",
            "write_iops": f"{device} 3000",
        }
        for name, line in expected.items():
            assert read(engine, id, "blkio", f"blkio.throttle.{name}_device") == line
    else:
        line = f"{device} rbps={50 * MIB} wbps={2 * MIB} riops=5000 wiops=3000"
        assert read(engine, id, "io", "io.max") == line
    began = time.monotonic()
    write = ["/bin/busybox", "dd", "if=/dev/zero", "of=/big", "bs=256k", "count=16"]
    code, output = await engine.execute(id, [*write, "oflag=direct"])
    assert code == 0, output
    assert time.monotonic() - began > 1  # 4 MiB at 2 MiB a second
    await engine.containers.update(id, parse_update({"PidsLimit": 100}), replace=True)
    throttle = ("blkio", "blkio.throttle.write_bps_device") if V1 else ("io", "io.max")
    assert read(engine, id, *throttle) == ""


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[Path]:
    """A block device of this test's own."""
    file = tmp_path / "disk"
    with file.open("wb") as disk:
        disk.truncate(16 * MIB)
    done = subprocess.run(
        ["losetup", "--show", "-f", file], capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        pytest.skip(f"no loop device: {done.stderr}")
    device = Path(done.stdout.strip())
    yield device
    subprocess.run(["losetup", "-d", device], check=True, timeout=60)


@pytest.mark.parametrize("scheduler", ["bfq", "none"])
async def test_a_devices_weight_reaches_the_kernel_or_is_refused(
    engine: Engine, loop_device: Path, scheduler: str
) -> None:
    """Only the scheduler bfq has weights of single devices."""
    setting = Path(f"/sys/block/{loop_device.name}/queue/scheduler")
    if scheduler not in setting.read_text():
        pytest.skip(f"the kernel has no I/O scheduler {scheduler}")
    setting.write_text(scheduler)
    weights = [{"Path": str(loop_device), "Weight": 300}]
    id = await engine.create("box", ["sleep", "600"], BlkioWeightDevice=weights)
    if scheduler == "none":
        error = await refused(engine.containers.start(id))
        assert "eight" in error.message
        assert engine.containers.get(id).pid == 0
        return
    await engine.containers.start(id)
    number = loop_device.stat().st_rdev
    line = f"{os.major(number)}:{os.minor(number)} 300"
    file = ("blkio", "blkio.bfq.weight_device") if V1 else ("io", "io.bfq.weight")
    assert line in read(engine, id, *file).splitlines()
    await engine.containers.update(id, parse_update({}), replace=True)
    assert line not in read(engine, id, *file).splitlines()


async def test_what_is_no_block_device_is_refused(engine: Engine) -> None:
    limit = [{"Path": "/dev/null", "Rate": 1}]
    error = await refused(engine.create("box", ["true"], BlkioDeviceReadBps=limit))
    assert (type(error), error.message) == (InvalidArgument, "/dev/null: is not a block device")


# --- memory and real time ----------------------------------------------------------------------


async def test_swappiness_is_set_or_refused(engine: Engine) -> None:
    if not V1:
        error = await refused(engine.create("box", ["true"], MemorySwappiness=10))
        assert isinstance(error, NotSupported)
        return
    id = await running(engine, MemorySwappiness=10)
    assert read(engine, id, "memory", "memory.swappiness") == "10"
    await engine.containers.update(id, parse_update({"MemorySwappiness": 20}))
    assert read(engine, id, "memory", "memory.swappiness") == "20"
    await engine.containers.update(id, parse_update({}), replace=True)
    assert read(engine, id, "memory", "memory.swappiness") not in ("10", "20")


async def test_real_time_is_shared_out_or_refused(engine: Engine) -> None:
    share = {"CpuRealtimeRuntime": 20_000, "CpuRealtimePeriod": 500_000}
    if not HIERARCHY.has_realtime:
        error = await refused(engine.create("box", ["true"], **share))
        assert isinstance(error, NotSupported)
        return
    parents = ("", "inner") * 3
    ids = await asyncio.gather(
        *(running(engine, f"box-{n}", **share, CgroupParent=p) for n, p in enumerate(parents))
    )
    for id, name in zip(ids, parents, strict=True):
        parent = f"{engine.config.cgroup_parent}/{name}".rstrip("/")
        assert read(engine, id, "cpu", "cpu.rt_runtime_us", parent) == "20000"
        assert read(engine, id, "cpu", "cpu.rt_period_us", parent) == "500000"
    await engine.containers.update(ids[0], parse_update({"CpuRealtimeRuntime": 30_000}))
    assert read(engine, ids[0], "cpu", "cpu.rt_runtime_us") == "30000"
    too_much = await engine.create("more", ["true"], CpuRealtimeRuntime=999_000)
    error = await refused(engine.containers.start(too_much))
    assert isinstance(error, InvalidArgument)
    assert "the host has not so much real-time left" in error.message


# --- parents -----------------------------------------------------------------------------------


@pytest.fixture
def outside() -> Iterator[str]:
    """A group of the host's own."""
    name = f"/stackr-test-{uuid.uuid4().hex[:8]}"
    folders = HIERARCHY.paths(name)
    for folder in folders:
        folder.mkdir()
    yield name
    for folder in folders:
        folder.rmdir()  # empty, and still there


async def test_a_parent_of_the_hosts_is_used_and_left(engine: Engine, outside: str) -> None:
    id = await running(engine, CgroupParent=outside, PidsLimit=33)
    assert read(engine, id, "pids", "pids.max", parent=outside) == "33"
    assert engine.containers.stats(id) is not None
    _, rows = await engine.containers.top(id, "-eo pid,args")
    assert len(rows) == 1
    await engine.containers.update(id, parse_update({"PidsLimit": 44}))
    assert read(engine, id, "pids", "pids.max", parent=outside) == "44"
    await engine.containers.remove(id, force=True)
    assert all(folder.is_dir() for folder in HIERARCHY.paths(outside))
    assert not any(folder.exists() for folder in HIERARCHY.paths(f"{outside}/{id}"))


@pytest.mark.parametrize("kind", ["absolute", "relative"])
async def test_a_parent_that_is_made_goes_with_its_last_container(
    engine: Engine, kind: str
) -> None:
    name = f"stackr-test-{uuid.uuid4().hex[:8]}/inner"
    given = f"/{name}" if kind == "absolute" else name
    parent = given if kind == "absolute" else f"{engine.config.cgroup_parent}/{name}"
    ids = [await running(engine, f"box-{number}", CgroupParent=given) for number in range(2)]
    for id in ids:
        assert str(engine.containers.get(id).pid) in read(
            engine, id, "memory", "cgroup.procs", parent=parent
        )
    await engine.containers.remove(ids[0], force=True)
    assert any(folder.is_dir() for folder in HIERARCHY.paths(parent))
    await engine.containers.remove(ids[1], force=True)
    top = parent.removesuffix("/inner")
    assert not any(folder.exists() for folder in HIERARCHY.paths(top))


async def test_a_daemon_that_was_killed_sweeps_the_parents_that_it_made(
    engine: Engine, root: Path
) -> None:
    name = f"/stackr-test-{uuid.uuid4().hex[:8]}"
    id = await running(engine, CgroupParent=name)
    await engine.close()
    again = await Engine.open(root)
    engine.__dict__.update(again.__dict__)
    assert engine.containers.get(id).pid
    await engine.clear()
    assert not any(folder.exists() for folder in HIERARCHY.paths(name))


@pytest.mark.parametrize("path", ["../x", "/a/../../b", "a\nb", "x" * 2000])
async def test_a_parent_that_climbs_is_refused(engine: Engine, path: str) -> None:
    error = await refused(engine.create("box", ["true"], CgroupParent=path))
    assert isinstance(error, InvalidArgument)
    assert error.message.startswith("HostConfig.CgroupParent: invalid path: ")


# --- images as mounts --------------------------------------------------------------------------


def image_mount(target: str, subpath: str = "") -> dict[str, Any]:
    mount: dict[str, Any] = {"Type": "image", "Source": "busybox", "Target": target}
    return mount | ({"ImageOptions": {"Subpath": subpath}} if subpath else {})


async def test_an_image_is_mounted_read_only(engine: Engine) -> None:
    parts = [image_mount("/data/part", "srv"), image_mount("/one", "srv/hello")]
    mounts = [image_mount("/whole"), *parts]
    script = "cat /whole/srv/hello /data/part/hello /one; touch /whole/x; touch /data/part/x"
    code, output = await engine.run(["sh", "-c", script], Mounts=mounts)
    assert "from the image" * 3 in output
    assert output.count("Read-only file system") == 2
    assert code == 1


@pytest.mark.parametrize("subpath", ["srv/to-etc/passwd", "srv/up"])
async def test_no_symlink_of_an_image_leads_out_of_it(engine: Engine, subpath: str) -> None:
    code, output = await engine.run(["cat", "/p"], Mounts=[image_mount("/p", subpath)])
    assert (code, output) == (0, PASSWD)


async def test_what_is_wrong_with_an_image_mount_is_told(engine: Engine) -> None:
    missing = {"Type": "image", "Source": "nosuch", "Target": "/x"}
    assert isinstance(await refused(engine.create("box", ["true"], Mounts=[missing])), NotFound)
    for subpath, text in (
        ("no/such", 'subpath "no/such": no such file or directory in image busybox'),
        ("../x", "subpath must be a relative path within the image"),
        ("/x", "subpath must be a relative path within the image"),
    ):
        error = await refused(engine.create("box", ["true"], Mounts=[image_mount("/x", subpath)]))
        assert isinstance(error, InvalidArgument)
        assert text in error.message
    assert engine.containers.list() == []


async def test_a_mounted_image_is_there_after_a_restart_of_the_daemon(
    engine: Engine, root: Path
) -> None:
    id = await running(engine, Mounts=[image_mount("/whole")])
    await engine.close()
    again = await Engine.open(root)
    engine.__dict__.update(again.__dict__)
    assert await engine.execute(id, ["cat", "/whole/srv/hello"]) == (0, "from the image")
    await engine.containers.restart(id, timeout_s=0)
    assert await engine.execute(id, ["cat", "/whole/srv/hello"]) == (0, "from the image")


# --- namespaces and read-only folders ----------------------------------------------------------


async def test_shared_memory_and_queues_are_shared(engine: Engine) -> None:
    await running(engine, "donor", IpcMode="shareable", ShmSize=2 * MIB)
    await running(engine, "guest", IpcMode="container:donor")
    await engine.execute("donor", ["sh", "-c", "echo hello > /dev/shm/note; touch /dev/mqueue/q"])
    seen = await engine.execute("guest", ["sh", "-c", "cat /dev/shm/note; ls /dev/mqueue"])
    assert seen == (0, "hello\nq\n")
    pids = [engine.containers.get(name).pid for name in ("donor", "guest")]
    assert len({os.readlink(f"/proc/{pid}/ns/ipc") for pid in pids}) == 1


async def test_a_donor_of_shared_memory_must_agree(engine: Engine) -> None:
    await running(engine, "donor")
    id = await engine.create("guest", ["true"], IpcMode="container:donor")
    error = await refused(engine.containers.start(id))
    assert "non-shareable IPC (hint: use IpcMode:shareable" in error.message


async def test_a_folder_is_read_only_to_its_depth(engine: Engine, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(inner)], check=True, timeout=60)
    try:
        mount = {"Type": "bind", "Source": str(tmp_path), "Target": "/x", "ReadOnly": True}
        forced = mount | {"BindOptions": {"ReadOnlyForceRecursive": True}}
        code, output = await engine.run(["touch", "/x/inner/file"], Mounts=[forced])
        assert (code, "Read-only file system" in output) == (1, True)
        open_mount = forced | {"ReadOnly": False}
        error = await refused(engine.create("box", ["true"], Mounts=[open_mount]))
        assert "ReadOnlyForceRecursive requires ReadOnly" in error.message
    finally:
        unmount(inner)
