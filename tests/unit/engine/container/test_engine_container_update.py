"""What an update makes of a container's settings, and what lifts a limit in either layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.container.life import update as update_module
from stackr.runtime.engine.container.life.update import lifted
from stackr.runtime.engine.container.limits import group_writes as group_writes_module
from stackr.runtime.engine.container.limits.controllers import discarded
from stackr.runtime.engine.container.limits.group_writes import cpu_weight, group_writes, io_weight
from stackr.runtime.engine.container.limits.resources import (
    adapted,
    check_limits,
    resources,
)
from stackr.runtime.engine.container.settings.spec import (
    HostConfig,
    Resources,
    parse_create,
    parse_update,
)
from stackr.runtime.engine.linux.cgroup import INHERITED, Hierarchy, parse_set, show_set

NO_TREES = Hierarchy(Path("/nowhere"), False, {}, None)
V2 = Hierarchy(Path("/nowhere"), True, {}, Path("/nowhere"))


def limits(**values: Any) -> Resources:
    return Resources.model_validate(values)


def test_what_lifts_each_limit_of_v1() -> None:
    before = limits(
        Memory=1, MemoryReservation=1, NanoCpus=1, CpusetCpus="0", PidsLimit=1, MemorySwappiness=5
    )
    assert lifted(before, limits(), is_v2=False) == [
        ("memory", "memory.memsw.limit_in_bytes", "-1"),
        ("memory", "memory.limit_in_bytes", "-1"),
        ("memory", "memory.soft_limit_in_bytes", "-1"),
        ("memory", "memory.swappiness", INHERITED),
        ("cpu", "cpu.cfs_quota_us", "-1"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpuset", "cpuset.cpus", INHERITED),
        ("pids", "pids.max", "max"),
    ]


def test_what_lifts_each_limit_of_v2() -> None:
    before = limits(Memory=1, CpuShares=1, CpuQuota=5000, CpusetCpus="0", BlkioWeight=10)
    assert lifted(before, limits(PidsLimit=-1), is_v2=True) == [
        ("memory", "memory.max", "max"),
        ("memory", "memory.swap.max", "max"),
        ("cpu", "cpu.weight", "100"),
        ("cpu", "cpu.max", "max"),
        ("cpu", "cpu.max", "max 100000"),
        ("cpuset", "cpuset.cpus", INHERITED),
        ("io", "io.bfq.weight", "100"),
        ("io", "io.weight", "default 100"),
    ]


def test_what_stays_is_not_lifted() -> None:
    before = limits(Memory=1, NanoCpus=1, PidsLimit=1)
    assert lifted(before, limits(Memory=2, CpuQuota=9000, PidsLimit=3), is_v2=False) == []


@pytest.mark.parametrize("before", [{"NanoCpus": 5}, {"CpuQuota": 5000, "CpuPeriod": 10_000}])
def test_a_period_alone_is_no_quota(before: dict[str, int]) -> None:
    after = limits(CpuPeriod=50_000)
    v1, v2 = (lifted(limits(**before), after, is_v2=is_v2) for is_v2 in (False, True))
    assert v1 == [("cpu", "cpu.cfs_quota_us", "-1")]
    assert v2 == [("cpu", "cpu.max", "max")]


def test_a_quota_without_a_period_has_the_kernels() -> None:
    cpu = resources(limits(CpuQuota=5000), V2)["cpu"]
    assert cpu == {"quota": 5000, "period": 100_000}


def test_a_memory_limit_gets_as_much_swap() -> None:
    assert adapted(HostConfig(memory=100)).memory_swap == 200
    assert adapted(HostConfig(memory=100, memory_swap=-1)).memory_swap == -1
    assert adapted(HostConfig()).memory_swap == 0


def test_null_labels_are_kept_and_other_nulls_dropped() -> None:
    body = parse_update({"Memory": None, "Labels": {"a": None, "b": "1"}, "RestartPolicy": None})
    assert body.labels == {"a": None, "b": "1"}
    with pytest.raises(InvalidArgument, match="Labels"):
        parse_update({"Labels": {"a": 1}})


@pytest.mark.parametrize("key", ["Devices", "DeviceCgroupRules"])
def test_what_an_update_would_pass_over_is_refused(key: str) -> None:
    parse_update({key: None})
    with pytest.raises(NotSupported, match=f"{key}: cannot be changed by an update"):
        parse_update({key: [{"Name": "x"}]})


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ({"MemorySwappiness": 101}, InvalidArgument, "valid memory swappiness range is 0-100"),
        ({"CpuRealtimeRuntime": 1000}, NotSupported, "HostConfig.CpuRealtimeRuntime"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/none", "Rate": 1}]}, InvalidArgument, "stat /dev"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}]}, InvalidArgument, "not a bloc"),
        ({"BlkioWeightDevice": [{"Path": "/x", "Weight": 5}]}, InvalidArgument, "10 to 1000"),
    ],
)
def test_limits_that_the_host_cannot_have_are_refused(
    values: dict[str, Any], kind: type[Exception], text: str
) -> None:
    body = parse_create({"HostConfig": values}).host_config
    with pytest.raises(kind, match=text):
        check_limits(body, NO_TREES, cpus=2)


def test_v2_has_no_swappiness() -> None:
    with pytest.raises(NotSupported, match="MemorySwappiness: cgroup v2"):
        check_limits(HostConfig(memory_swappiness=10), V2, cpus=2)
    check_limits(HostConfig(memory_swappiness=-1), V2, cpus=2)


@pytest.mark.parametrize("text", ["", "a", "1-", "3-1", "-1", "0-99999999"])
def test_malformed_sets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a set of numbers"):
        parse_set(text)


def test_sets_are_numbers_and_ranges() -> None:
    assert parse_set("0-2,5") == {0, 1, 2, 5}
    assert show_set({5, 0, 2, 1}) == "0-2,5"


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        (1, 1),
        (2, 1),
        (3, 2),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (262_144, 10_000),
        (1 << 40, 10_000),
    ],
)
def test_processor_shares_are_a_weight_on_v2(shares: int, weight: int) -> None:
    assert cpu_weight(shares) == weight
    given = limits(CpuShares=shares)
    assert [*group_writes(given, V2)] == [("cpu", (("cpu.weight", str(weight)),))]
    assert resources(given, V2) == {}
    assert resources(given, NO_TREES) == {"cpu": {"shares": shares}}


def test_the_weight_rises_with_the_shares() -> None:
    weights = [cpu_weight(shares) for shares in range(2, 262_145, 97)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(
    ("controller", "values"),
    [
        ("memory", {"Memory": 1 << 30, "MemorySwap": -1, "MemoryReservation": 1 << 25}),
        ("cpu", {"NanoCpus": 10**9, "CpuShares": 5}),
        ("cpuset", {"CpusetCpus": "0", "CpusetMems": "0"}),
        ("pids", {"PidsLimit": 5}),
        ("blkio", {"BlkioWeight": 100}),
    ],
)
@pytest.mark.parametrize("is_v2", [False, True])
def test_limits_without_a_controller_are_discarded_with_a_warning(
    controller: str, values: dict[str, Any], is_v2: bool
) -> None:
    host = Hierarchy(Path("/nowhere"), is_v2, {}, None, frozenset({controller}))
    given = limits(**values)
    assert resources(given, host) == {}
    assert [*group_writes(given, host)] == []
    (warning,) = discarded(given, host)
    assert warning.startswith("Your kernel does not support ")
    assert discarded(limits(), host) == []
    assert discarded(given, NO_TREES) == []


def test_block_io_is_written_in_the_words_of_each_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_writes_module, "devices_of", lambda _: {"/dev/sda": (8, 0)})
    rate, weight = [{"Path": "/dev/sda", "Rate": 7}], [{"Path": "/dev/sda", "Weight": 20}]
    given = limits(
        BlkioWeight=300,
        BlkioWeightDevice=weight,
        BlkioDeviceReadBps=rate,
        BlkioDeviceWriteIOps=rate,
    )
    assert [*group_writes(given, NO_TREES)] == [
        ("blkio", (("blkio.weight", "300"), ("blkio.bfq.weight", "300"))),
        ("blkio", (("blkio.weight_device", "8:0 20"), ("blkio.bfq.weight_device", "8:0 20"))),
        ("blkio", (("blkio.throttle.read_bps_device", "8:0 7"),)),
        ("blkio", (("blkio.throttle.write_iops_device", "8:0 7"),)),
    ]
    assert [*group_writes(given, V2)] == [
        ("io", (("io.bfq.weight", "default 300"), ("io.weight", "default 2930"))),
        ("io", (("io.bfq.weight", "8:0 20"), ("io.weight", "8:0 102"))),
        ("io", (("io.max", "8:0 rbps=7"),)),
        ("io", (("io.max", "8:0 wiops=7"),)),
    ]
    assert resources(given, V2) == {}


def test_weights_of_v1_are_spread_over_those_of_v2() -> None:
    assert [io_weight(weight) for weight in (10, 500, 1000)] == [1, 4950, 10_000]


def test_a_devices_weight_is_lifted_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_module, "devices_of", lambda _: {"/dev/sda": (8, 0)})
    before = limits(BlkioWeightDevice=[{"Path": "/dev/sda", "Weight": 20}])
    assert lifted(before, limits(), is_v2=True) == [
        ("io", "io.bfq.weight", "8:0 default"),
        ("io", "io.weight", "8:0 default"),
    ]
