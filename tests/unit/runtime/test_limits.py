"""Limits that mean the same, limits that cannot change, and what an update asks of an engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_runtime import FakeRuntime

from stackr.errors import NotSupported
from stackr.runtime.container import ContainerConfig
from stackr.runtime.docker.limits import resources, restart_policy, update_body
from stackr.runtime.docker.observe import container_listed
from stackr.runtime.limits import (
    Blkio,
    Resources,
    RestartPolicy,
    changed_limits,
    fixed_limits,
    without_discarded,
)
from stackr.runtime.types import Capabilities


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (Resources(memory_bytes=10, memory_swap_bytes=20), Resources(memory_bytes=10)),
        (Resources(pids_limit=-1, cpu_quota_us=-1, memory_swappiness=-1), Resources()),
        (Resources(memory_swap_bytes=-1), Resources()),
        (Resources(blkio=Blkio()), Resources()),
    ],
)
def test_what_means_the_same_is_no_change(found: Resources, wanted: Resources) -> None:
    assert changed_limits(found, wanted) == ()


def test_changes_are_named() -> None:
    found = Resources(memory_bytes=10, memory_swap_bytes=-1, nano_cpus=5)
    wanted = Resources(memory_bytes=20, pids_limit=3)
    assert changed_limits(found, wanted) == (
        "memory_bytes",
        "memory_swap_bytes",
        "nano_cpus",
        "pids_limit",
    )


@pytest.mark.parametrize(
    ("found", "wanted", "fixed"),
    [
        ({"memory_bytes": 9}, {}, ("memory_bytes",)),
        ({"pids_limit": 9, "cpu_quota_us": 9}, {}, ()),
        ({"nano_cpus": 9}, {"cpu_quota_us": 9}, ("nano_cpus", "cpu_quota_us")),
        ({"cpuset_cpus": "0"}, {}, ("cpuset_cpus",)),
        ({}, {"blkio": Blkio(weight=100)}, ()),
        ({}, {"blkio": Blkio(read_bps=(("/dev/sda", 1),))}, ("blkio",)),
        ({}, {"oom_kill_disable": True}, ("oom_kill_disable",)),
    ],
)
def test_what_docker_cannot_change(
    found: dict[str, Any], wanted: dict[str, Any], fixed: tuple[str, ...]
) -> None:
    before, after = Resources(**found), Resources(**wanted)
    assert fixed_limits(before, after, lifts=False) == fixed
    lifting = tuple(name for name in fixed if name == "oom_kill_disable")
    assert fixed_limits(before, after, lifts=True) == lifting


_READ = Blkio(read_bps=(("/dev/sda", 1),))


@pytest.mark.parametrize(
    ("found", "wanted", "drifted"),
    [
        ({}, {"blkio": Blkio(weight=100)}, ()),
        ({"blkio": _READ}, {"blkio": replace(_READ, weight=100)}, ()),
        ({"blkio": replace(_READ, weight=200)}, {"blkio": replace(_READ, weight=100)}, ("blkio",)),
        ({"memory_bytes": 9, "memory_swap_bytes": -1}, {"memory_bytes": 9}, ()),
        ({}, {"memory_bytes": 9, "memory_swap_bytes": 9}, ()),
        ({"memory_swap_bytes": -1}, {"memory_bytes": 9, "memory_swap_bytes": 9}, ()),
        ({"memory_swappiness": None}, {"memory_swappiness": 10}, ()),
        ({"oom_kill_disable": False}, {"oom_kill_disable": True}, ()),
        ({"cpuset_cpus": ""}, {"cpuset_cpus": "0"}, ()),
        ({"cpu_quota_us": -1}, {"cpu_quota_us": 9}, ("cpu_quota_us",)),
        ({"pids_limit": 0}, {"pids_limit": 9}, ("pids_limit",)),
        ({"memory_bytes": 8}, {"memory_bytes": 9}, ("memory_bytes",)),
        ({"nano_cpus": 5}, {}, ("nano_cpus",)),
    ],
)
def test_what_docker_discards_is_no_drift(
    found: dict[str, Any], wanted: dict[str, Any], drifted: tuple[str, ...]
) -> None:
    before = Resources(**found)
    assert changed_limits(before, without_discarded(before, Resources(**wanted))) == drifted


def test_stackrs_engine_gets_the_whole() -> None:
    body = update_body(Resources(memory_bytes=10), RestartPolicy("always"), {"a": None}, found=None)
    assert body == {
        "Memory": 10,
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "Labels": {"a": None},
    }


def test_docker_gets_the_changes() -> None:
    found = Resources(memory_bytes=10, memory_swap_bytes=20, pids_limit=5, cpu_shares=7)
    wanted = Resources(memory_bytes=30, cpu_shares=7)
    assert update_body(wanted, None, None, found=found) == {
        "Memory": 30,
        "MemorySwap": 60,
        "PidsLimit": -1,
    }
    with pytest.raises(NotSupported, match="not supported by this engine: Memory, CpuShares"):
        update_body(Resources(), None, None, found=found)


def test_limits_are_read_back() -> None:
    host = {
        "Memory": 10,
        "MemorySwappiness": None,
        "PidsLimit": None,
        "BlkioWeight": 0,
        "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 5}],
        "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
    }
    assert resources(host) == Resources(memory_bytes=10, blkio=Blkio(read_bps=(("/dev/sda", 5),)))
    assert restart_policy(host) == RestartPolicy("no")


def test_a_listing_tells_whether_it_has_limits() -> None:
    docker = container_listed({"Id": "x", "HostConfig": {"NetworkMode": "bridge"}})
    assert (docker.resources, docker.restart) == (None, None)
    host = {"NetworkMode": "x", "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}
    ours = container_listed({"Id": "x", "HostConfig": host})
    assert (ours.resources, ours.restart) == (Resources(), RestartPolicy("always"))


async def test_the_fake_changes_what_an_engine_would() -> None:
    capabilities = Capabilities(update_labels=True, update_lifts=True)
    fake = FakeRuntime.with_images("app")
    fake.capabilities = capabilities
    config = ContainerConfig("app", labels={"a": "1"}, resources=Resources(memory_bytes=10))
    await fake.create_container("box", config)
    [listed] = await fake.list_containers()
    assert (listed.resources, listed.restart) == (None, None)
    await fake.update_container("box", resources=Resources(), labels={"a": None, "b": "2"})
    [listed] = await fake.list_containers(limits=True)
    assert (listed.resources, listed.restart) == (Resources(), RestartPolicy("no"))
    assert listed.labels == {"b": "2"}
    fake.capabilities = Capabilities()
    await fake.update_container("box", resources=Resources(nano_cpus=5))
    with pytest.raises(NotSupported, match="nano_cpus"):
        await fake.update_container("box", resources=Resources())
    with pytest.raises(NotSupported, match="labels"):
        await fake.update_container("box", labels={})
