"""What a container's control group does: limits, figures, groups inside of it, the host's mount."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import container_engine
import pytest
from container_engine import Engine, refused, until

from stackr.runtime.engine.container.settings.spec import parse_update
from stackr.runtime.engine.linux import cgroup

pytestmark = pytest.mark.root

HIERARCHY = cgroup.detect()
V2 = HIERARCHY.is_v2
MIB = 1 << 20
ROOT = "/sys/fs/cgroup"

only_v2 = pytest.mark.skipif(not V2, reason="the host has cgroup v1")


def group(engine: Engine, id: str) -> Path:
    return HIERARCHY.paths(f"{engine.config.cgroup_parent}/{id}")[0]


def read(engine: Engine, id: str, file: str) -> str:
    return (group(engine, id) / file).read_text().strip()


async def running(engine: Engine, script: str = "sleep 600", **settings: Any) -> str:
    """A shell that runs `script`."""
    id = await engine.create("box", ["sh", "-c", script], StopSignal="SIGKILL", **settings)
    await engine.containers.start(id)
    return id


async def said(engine: Engine, id: str, text: str) -> None:
    async with asyncio.timeout(120):
        while text not in await engine.output(id):
            assert engine.containers.get(id).pid, await engine.output(id)
            await asyncio.sleep(0.02)


# --- limits and figures ------------------------------------------------------------------------


@only_v2
async def test_limits_are_what_the_kernel_has(engine: Engine) -> None:
    id = await running(
        engine,
        Memory=64 * MIB,
        MemorySwap=96 * MIB,
        MemoryReservation=16 * MIB,
        NanoCpus=250_000_000,
        CpuShares=512,
        CpusetCpus="0",
        CpusetMems="0",
        PidsLimit=40,
        BlkioWeight=200,
    )
    assert {
        "memory.max": str(64 * MIB),
        "memory.swap.max": str(32 * MIB),
        "memory.low": str(16 * MIB),
        "cpu.max": "25000 100000",
        "cpu.weight": "59",
        "cpuset.cpus": "0",
        "cpuset.mems": "0",
        "pids.max": "40",
    }.items() <= {path.name: _text(path) for path in group(engine, id).iterdir()}.items()
    await engine.containers.update(id, parse_update({"CpuShares": 1024}))
    assert read(engine, id, "cpu.weight") == "100"
    await engine.containers.update(id, parse_update({"PidsLimit": 41}))
    assert read(engine, id, "cpu.weight") == "100"
    await engine.containers.update(id, parse_update({"CpuShares": 2048}))
    await engine.containers.update(id, parse_update({}), replace=True)
    assert read(engine, id, "cpu.weight") == "100"
    every = (HIERARCHY.root / "cpuset.cpus.effective").read_text().strip()
    assert read(engine, id, "cpuset.cpus.effective") == every


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


@only_v2
@pytest.mark.parametrize(
    ("swap", "expected"), [(0, 32 * MIB), (-1, "max"), (32 * MIB, 0), (40 * MIB, 8 * MIB)]
)
async def test_swap_is_what_docker_gives(engine: Engine, swap: int, expected: int | str) -> None:
    id = await running(engine, Memory=32 * MIB, MemorySwap=swap)
    assert read(engine, id, "memory.swap.max") == str(expected)


async def test_figures_are_those_of_the_group(engine: Engine) -> None:
    write = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; sleep 600"
    id = await running(engine, write, Memory=64 * MIB, PidsLimit=30)
    await said(engine, id, "done")
    usage = engine.containers.stats(id)
    assert usage is not None
    assert 0 < usage.memory_bytes < 64 * MIB == usage.memory_limit
    assert 1 <= usage.pids <= 2
    assert usage.pids_limit == 30
    assert 0 < usage.cpu.total_ns < usage.cpu.system_ns
    assert usage.cpu.user_ns + usage.cpu.kernel_ns > 0
    assert "inactive_file" in usage.memory_stats


async def test_processes_above_the_limit_are_refused(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done; echo all"
    id = await running(engine, script, PidsLimit=8)
    await until(lambda: not engine.containers.get(id).pid)
    assert "fork" in await engine.output(id)


async def test_the_host_has_devices_that_containers_have_not(engine: Engine) -> None:
    device = "/dev/loop0"
    if not Path(device).is_block_device():
        pytest.skip("the host has no loop devices")
    number = os.stat(device).st_rdev
    node = f"/bin/busybox mknod /node b {os.major(number)} {os.minor(number)}"
    look = "head -c 1 /node >/seen && echo readable; true >>/node && echo writable; true"
    assert "able" not in (await engine.run(["sh", "-c", f"{node}; {look}"]))[1]
    mapped = {"PathOnHost": device, "PathInContainer": "/node", "CgroupPermissions": "r"}
    _, output = await engine.run(["sh", "-c", look], Devices=[mapped])
    assert ("readable" in output, "writable" in output) == (True, False), output
    rule = f"b {os.major(number)}:{os.minor(number)} rmw"
    _, output = await engine.run(["sh", "-c", f"{node}; {look}"], DeviceCgroupRules=[rule])
    assert ("readable" in output, "writable" in output) == (True, True)


# --- groups that a container makes in its own --------------------------------------------------

NEST = f"""
cd {ROOT}
/bin/busybox mkdir -p outer/inner
echo 0 >outer/inner/cgroup.procs
"""
"""As systemd or an engine does in a container; what this shell starts is in the inner group."""


@only_v2
async def test_processes_of_inner_groups_are_seen_and_ended(engine: Engine) -> None:
    id = await running(engine, f"(cd /; {NEST} sleep 601; true) & echo up; wait", Privileged=True)
    await until(lambda: (group(engine, id) / "outer/inner").is_dir())
    await _until_rows(engine, id, "sleep 601")
    pid = _process(group(engine, id) / "outer/inner")
    await engine.containers.pause(id)
    assert _frozen(group(engine, id))
    await engine.containers.unpause(id)
    await engine.containers.kill(id, "SIGKILL")
    await until(lambda: not Path(f"/proc/{pid}").exists())
    await until(lambda: not group(engine, id).exists())


def _process(folder: Path) -> int:
    return int((folder / "cgroup.procs").read_text().split()[0])


def _frozen(folder: Path) -> bool:
    return "frozen 1" in (folder / "cgroup.events").read_text()


async def _until_rows(engine: Engine, id: str, text: str) -> None:
    async with asyncio.timeout(60):
        while True:
            _, rows = await engine.containers.top(id, "-eo pid,args")
            if any(text in row[-1] for row in rows):
                return
            await asyncio.sleep(0.02)


@only_v2
async def test_an_exec_finds_its_place_beside_inner_groups(engine: Engine) -> None:
    """The container's own group holds no process any more, and none may be put there."""
    leave = f"{NEST} cd {ROOT}; echo '+pids +memory' >cgroup.subtree_control; echo up; sleep 600"
    check = {"Test": ["CMD-SHELL", "echo probed"], "Interval": 50_000_000}
    id = await running(engine, leave, Privileged=True, Healthcheck=check)
    await said(engine, id, "up")
    code, output = await engine.execute(id, ["cat", "/proc/self/cgroup"])
    assert code == 0, output
    assert output.startswith("0::/")
    assert "/.." not in output  # it is in the container's group, or below
    health = engine.containers.get(id).state.health
    assert health is not None
    await until(lambda: health.status == "healthy")
    await engine.containers.update(id, parse_update({"PidsLimit": 50}))
    assert read(engine, id, "pids.max") == "50"
    await engine.containers.stop(id, timeout_s=5)
    await until(lambda: not group(engine, id).exists())


@only_v2
async def test_a_kill_in_an_inner_group_for_want_of_memory_is_told(engine: Engine) -> None:
    eat = "x=a; while :; do x=$x$x; done"
    id = await engine.create(
        "greedy",
        ["sh", "-c", f"{NEST} {eat}"],
        Privileged=True,
        Memory=12 * MIB,
        MemorySwap=12 * MIB,
    )
    await engine.containers.start(id)
    assert await engine.containers.wait(id) == 137
    assert engine.containers.get(id).state.oom_killed


async def test_a_paused_container_can_be_removed(engine: Engine) -> None:
    id = await running(engine, "sleep 600 & wait")
    await engine.containers.pause(id)
    await engine.containers.remove(id, force=True)
    assert not group(engine, id).exists()


# --- the host's mount, and namespaces ----------------------------------------------------------


def mount_options() -> str:
    """Of the host's tree: its flags, and those of the file system itself."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    line = next(line for line in lines if line.split()[4] == ROOT)
    before, _, after = line.partition(" - ")
    return f"{before.split()[5]} {after.split()[2]}"


@only_v2
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"Privileged": True},
        {"CgroupnsMode": "host"},
        {"CgroupnsMode": "host", "Privileged": True},
        {"CgroupnsMode": "private"},
    ],
)
async def test_the_hosts_tree_is_mounted_as_before(
    engine: Engine, settings: dict[str, Any]
) -> None:
    before = mount_options()
    own, parent = "/proc/self/cgroup", engine.config.cgroup_parent
    script = f"cat {own}; ls -d {ROOT}{parent}; /bin/busybox mkdir {ROOT}/stackr-x && echo made"
    _, output = await engine.run(["sh", "-c", f"{script}; true"], **settings)
    is_host = settings.get("CgroupnsMode") == "host"
    assert (f"0::{parent}/" in output) == is_host
    assert (f"\n{ROOT}{parent}" in output) == is_host
    assert ("made" in output) == settings.get("Privileged", False)
    if is_host and "made" in output:
        Path(ROOT, "stackr-x").rmdir()
    assert mount_options() == before


@pytest.fixture
def occupied() -> Iterator[str]:
    """A group of the host's own, with a process."""
    name = f"/stackr-test-{uuid.uuid4().hex[:8]}"
    folders = HIERARCHY.paths(name)
    with subprocess.Popen(["sleep", "600"]) as process:
        for folder in folders:
            folder.mkdir()
            _fill_cpuset(folder)
            (folder / "cgroup.procs").write_text(str(process.pid))
        yield name
        process.kill()
    assert HIERARCHY.remove(name) == []


def _fill_cpuset(folder: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not V2 and (folder / name).exists():
            (folder / name).write_text((folder.parent / name).read_text())


@only_v2
async def test_a_parent_that_holds_processes_is_told(engine: Engine, occupied: str) -> None:
    id = await engine.create("box", ["sleep", "600"], CgroupParent=occupied, Memory=32 * MIB)
    error = await refused(engine.containers.start(id))
    assert f"HostConfig.CgroupParent: {occupied}: holds processes" in error.message
    assert engine.containers.get(id).pid == 0
    assert HIERARCHY.children(occupied) == set()


# --- an engine in a container ------------------------------------------------------------------


@only_v2
def test_an_engine_whose_root_group_holds_processes(root: Path, occupied: str) -> None:
    """As in a container: a namespace whose root is a group with all of its processes."""
    script = Path(container_engine.__file__).with_name("nested_engine.py")
    enter = f"""
        echo $$ >{ROOT}{occupied}/cgroup.procs
        exec unshare --cgroup --mount --propagation private sh -c '
            umount -l {ROOT}; mount -t cgroup2 cgroup2 {ROOT}
            exec "$@"' sh "$@"
        """
    done = subprocess.run(
        ["sh", "-c", enter, "sh", sys.executable, str(script), str(root)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"memory": str(64 * MIB), "code": 0, "seen": "0::/\n"}
