"""Limits that change while a container runs: what the kernel has then, with either runtime."""

from __future__ import annotations

import resource
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from container_engine import Engine, refused
from host_features import disk

from stackr.errors import Conflict, Internal, InvalidArgument, NotSupported, StackrError
from stackr.runtime.engine.container.oci import runtime as oci_runtime
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.spec import parse_update
from stackr.runtime.engine.linux import cgroup

pytestmark = pytest.mark.root

MIB = 1 << 20
V1 = not cgroup.detect().is_v2


@pytest.fixture(params=["crun", "runc"])
async def engine(
    request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Engine]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")

    async def works(*_: Any) -> bool:
        return bool(request.param == "crun")

    monkeypatch.setattr(oci_runtime, "_works", works)
    engine = await Engine.open(root)
    yield engine
    await engine.clear()
    await engine.close()
    await engine.assert_nothing_left()


def figure(engine: Engine, name: str, v1: str, v2: str) -> str:
    """What the kernel has, by the file's name in either layout."""
    hierarchy = cgroup.detect()
    group = f"{engine.config.cgroup_parent}/{engine.containers.get(name).id}"
    file = v1 if V1 else v2
    controller = file.partition(".")[0]
    folder = hierarchy.path(group, controller)
    assert folder is not None
    return (folder / file).read_text().strip()


async def update(engine: Engine, name: str, *, replace: bool = False, **body: Any) -> None:
    await engine.containers.update(name, parse_update(body), replace=replace)


async def running(engine: Engine, name: str = "box", **settings: Any) -> str:
    id = await engine.create(name, ["sleep", "600"], StopSignal="SIGKILL", **settings)
    await engine.containers.start(id)
    return id


def memory(engine: Engine, name: str = "box") -> str:
    return figure(engine, name, "memory.limit_in_bytes", "memory.max")


async def test_every_limit_of_a_running_container_changes(engine: Engine) -> None:
    await running(engine, Memory=64 * MIB)
    await update(
        engine,
        "box",
        Memory=96 * MIB,
        MemorySwap=192 * MIB,
        MemoryReservation=32 * MIB,
        NanoCpus=500_000_000,
        CpuShares=512,
        CpusetCpus="0",
        PidsLimit=50,
    )
    assert memory(engine) == str(96 * MIB)
    swap = figure(engine, "box", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert swap == str(192 * MIB if V1 else 96 * MIB)
    low = figure(engine, "box", "memory.soft_limit_in_bytes", "memory.low")
    assert low == str(32 * MIB)
    assert figure(engine, "box", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert figure(engine, "box", "cpuset.cpus", "cpuset.cpus") == "0"
    assert figure(engine, "box", "pids.max", "pids.max") == "50"
    if V1:
        assert figure(engine, "box", "cpu.shares", "") == "512"
    # and back below what it was, memory and swap together
    await update(engine, "box", Memory=32 * MIB, MemorySwap=-1)
    assert memory(engine) == str(32 * MIB)


async def test_swap_and_quota_change_alone(engine: Engine) -> None:
    await running(engine, Memory=64 * MIB, CpuQuota=50_000, BlkioWeight=200)
    await update(engine, "box", MemorySwap=256 * MIB, CpuQuota=30_000, BlkioWeight=300)
    swap = figure(engine, "box", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert swap == str(256 * MIB if V1 else 192 * MIB)
    assert figure(engine, "box", "cpu.cfs_quota_us", "cpu.max").split()[0] == "30000"
    assert figure(engine, "box", "blkio.bfq.weight", "io.bfq.weight").split()[-1] == "300"
    await update(engine, "box", CpuPeriod=50_000, MemorySwap=-1)
    assert "50000" in figure(engine, "box", "cpu.cfs_period_us", "cpu.max")
    await update(engine, "box", replace=True)
    assert figure(engine, "box", "blkio.bfq.weight", "io.bfq.weight").split()[-1] == "100"


async def test_rates_of_devices_change_and_stay_lifted(engine: Engine) -> None:
    device = disk()
    if not device:
        pytest.skip("the host has no disk")

    def rates() -> str:
        return figure(engine, "box", "blkio.throttle.write_bps_device", "io.max")

    def limit(rate: int) -> list[dict[str, Any]]:
        return [{"Path": device, "Rate": rate}]

    await running(engine, BlkioDeviceWriteBps=limit(2 * MIB), PidsLimit=20)
    assert str(2 * MIB) in rates()
    await update(engine, "box", BlkioDeviceWriteBps=limit(4 * MIB), PidsLimit=30)
    assert str(4 * MIB) in rates()
    for most in (40, 50):
        await update(engine, "box", replace=True, PidsLimit=most)
        assert rates() == ""


async def test_what_is_not_named_stays(engine: Engine) -> None:
    await running(engine, Memory=64 * MIB, PidsLimit=20, RestartPolicy={"Name": "always"})
    await update(engine, "box", CpuShares=300, Memory=0, RestartPolicy={"Name": ""})
    host_config = engine.containers.get("box").host_config
    assert (host_config.memory, host_config.pids_limit) == (64 * MIB, 20)
    assert host_config.restart_policy.name == "always"
    assert memory(engine) == str(64 * MIB)


async def test_replace_lifts_what_is_not_named(engine: Engine) -> None:
    settings: dict[str, Any] = {
        "Memory": 64 * MIB,
        "PidsLimit": 20,
        "NanoCpus": 300_000_000,
        "CpuShares": 300,
    }
    await running(engine, **settings, CpusetCpus="0", MemoryReservation=20 * MIB)
    everything = figure(engine, "box", "cpuset.cpus", "cpuset.cpus")
    assert everything == "0"
    await update(engine, "box", replace=True, PidsLimit=30)
    assert memory(engine) in ("max", str((1 << 63) - 4096))
    assert figure(engine, "box", "pids.max", "pids.max") == "30"
    assert figure(engine, "box", "cpu.cfs_quota_us", "cpu.max").split()[0] in ("-1", "max")
    assert figure(engine, "box", "cpu.shares", "cpu.weight") == ("1024" if V1 else "100")
    assert figure(engine, "box", "cpuset.cpus", "cpuset.cpus") != "0"
    await update(engine, "box", replace=True)
    assert figure(engine, "box", "pids.max", "pids.max") == "max"
    assert engine.containers.get("box").host_config.memory == 0


async def test_an_update_of_a_stopped_container_counts_from_its_start_on(engine: Engine) -> None:
    await engine.create("box", ["sleep", "600"], StopSignal="SIGKILL", Memory=64 * MIB)
    await update(engine, "box", Memory=32 * MIB, MemorySwap=64 * MIB, Labels={"a": "1"})
    await engine.containers.start("box")
    assert memory(engine) == str(32 * MIB)
    await engine.containers.pause("box")
    await update(engine, "box", Memory=48 * MIB)
    assert memory(engine) == str(48 * MIB)


async def test_labels_are_added_replaced_and_removed(engine: Engine) -> None:
    await running(engine, Labels={"keep": "1", "change": "1", "go": "1"})
    await update(engine, "box", Labels={"change": "2", "new": "3", "go": None, "never": None})
    assert engine.containers.get("box").config.labels == {"keep": "1", "change": "2", "new": "3"}
    error = await refused(update(engine, "box", Labels={"": "x"}))
    assert isinstance(error, InvalidArgument)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ({"Memory": 1 * MIB}, InvalidArgument, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 256 * MIB}, Conflict, "already set memoryswap limit, update the memoryswap"),
        ({"CpuQuota": 5000}, Conflict, "CPU Quota cannot be updated as NanoCPUs has already"),
        ({"NanoCpus": 1 << 40}, InvalidArgument, "Range of CPUs is from 0.01 to"),
        ({"CpusetCpus": "4000"}, InvalidArgument, "Requested CPUs are not available - requested"),
        ({"CpusetCpus": "x"}, InvalidArgument, "Invalid value x for cpuset cpus"),
        ({"OomKillDisable": True}, NotSupported, "OomKillDisable: cannot be changed by an update"),
        ({"BlkioWeight": 5}, InvalidArgument, "Range of blkio weight is from 10 to 1000"),
        (
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}},
            InvalidArgument,
            "maximum retry count cannot be used with restart policy 'always'",
        ),
    ],
)
async def test_nothing_changes_where_one_part_is_refused(
    engine: Engine, body: dict[str, Any], kind: type[StackrError], text: str
) -> None:
    await running(engine, Memory=64 * MIB, NanoCpus=500_000_000)
    before = engine.containers.get("box").host_config
    error = await refused(update(engine, "box", PidsLimit=7, Labels={"a": "b"}, **body))
    assert isinstance(error, kind)
    assert text in error.message
    assert engine.containers.get("box").host_config == before
    assert engine.containers.get("box").config.labels == {}
    assert figure(engine, "box", "pids.max", "pids.max") == "max"


@pytest.mark.skipif(not V1, reason="v2 takes a limit below what is used, and reclaims")
async def test_nothing_changes_where_the_kernel_refuses(engine: Engine) -> None:
    """What it took before the refusal is taken back."""
    eat = "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21; do"
    script = f"{eat} x=$x$x; done; echo eaten; while :; do sleep 9; done"
    id = await engine.create("box", ["sh", "-c", script], Memory=256 * MIB, StopSignal="SIGKILL")
    await engine.containers.start(id)
    while "eaten" not in await engine.output("box"):
        assert engine.containers.get("box").pid
    error = await refused(
        update(engine, "box", CpuShares=77, PidsLimit=99, Memory=8 * MIB, MemorySwap=8 * MIB)
    )
    assert isinstance(error, Internal)
    assert error.message.startswith(f"Cannot update container {id}: ")
    assert memory(engine) == str(256 * MIB)
    assert figure(engine, "box", "cpu.shares", "cpu.weight") == "1024"
    assert figure(engine, "box", "pids.max", "pids.max") == "max"
    assert engine.containers.get("box").host_config.cpu_shares == 0


async def test_a_new_restart_policy_counts_at_the_next_end(engine: Engine) -> None:
    script = "until [ -e /updated ]; do sleep 0.02; done; exit 3"
    id = await engine.create("box", ["sh", "-c", script])
    await engine.containers.start(id)
    await update(engine, "box", RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 2})
    Path(f"/proc/{engine.containers.get(id).pid}/root/updated").touch()
    container = engine.containers.get(id)
    while container.state.status is not Status.EXITED:
        assert await engine.containers.wait(id) == 3  # each end is one
    assert container.restart_count == 2


async def test_ulimits_change_for_what_runs_and_what_comes(engine: Engine) -> None:
    ulimits = [{"Name": "core", "Soft": 1, "Hard": 1}, {"Name": "nofile", "Soft": 99, "Hard": 100}]
    id = await running(engine, Ulimits=ulimits)
    await update(engine, "box", Ulimits=[{"Name": "nofile", "Soft": 60, "Hard": 60}])
    pid = engine.containers.get(id).pid
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (60, 60)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (1, 1)
    code, output = await engine.execute("box", ["sh", "-c", "ulimit -n"], attach_stdout=True)
    assert (code, output) == (0, "60\n")
    assert [each.name for each in engine.containers.get(id).host_config.ulimits] == [
        "core",
        "nofile",
    ]
    error = await refused(update(engine, "box", Ulimits=[{"Name": "nofile", "Soft": 9, "Hard": 8}]))
    assert isinstance(error, InvalidArgument)


async def test_an_auto_removed_container_keeps_its_policy(engine: Engine) -> None:
    await running(engine, AutoRemove=True)
    error = await refused(update(engine, "box", RestartPolicy={"Name": "always"}))
    assert isinstance(error, Conflict)
    assert "because AutoRemove is enabled" in error.message
