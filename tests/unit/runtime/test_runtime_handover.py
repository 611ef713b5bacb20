"""A container that takes another's place: the fake engine, and what both sides call it."""

from __future__ import annotations

import pytest
from fake_runtime import FakeRuntime

from stackr.errors import Conflict, NotFound, NotSupported
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig, PortBinding
from stackr.runtime.docker.observe import container_inspected, container_listed
from stackr.runtime.docker.runtime import DockerRuntime
from stackr.runtime.engine.container.records.record import STANDBY_LABEL
from stackr.runtime.engine.version import CAPABILITIES
from stackr.runtime.protocol import SupportsHandover
from stackr.runtime.types import Capabilities


def test_both_sides_use_one_name() -> None:
    assert labels.STANDBY == STANDBY_LABEL
    assert set(CAPABILITIES) <= set(Capabilities.__slots__)


def test_the_runtimes_offer_it() -> None:
    assert isinstance(FakeRuntime(), SupportsHandover)
    assert issubclass(DockerRuntime, SupportsHandover)


async def two(*ports: str, handover: bool = True) -> FakeRuntime:
    """`old` with host port 8080, and `new` beside it in standby with `ports`, both running."""
    runtime = FakeRuntime.with_images("img")
    runtime.capabilities = Capabilities(handover=handover)
    for name, published in (("old", ("8080", "9090")), ("new", ports)):
        config = ContainerConfig(
            "img",
            labels={labels.STANDBY: "true"} if name == "new" else {},
            ports=tuple(PortBinding(80, host_port=port) for port in published),
        )
        await runtime.create_container(name, config)
        await runtime.start_container(name)
    return runtime


async def ports_of(runtime: FakeRuntime, name: str) -> list[int]:
    return [port.host_port for port in (await runtime.inspect_container(name)).ports]


async def test_ports_move_and_come_back() -> None:
    runtime = await two("8080")
    assert (await runtime.inspect_container("new")).standby
    assert await ports_of(runtime, "new") == []
    await runtime.promote_container("new", replaces="old")
    await runtime.promote_container("new", replaces="old")
    assert await ports_of(runtime, "new") == [8080]
    assert await ports_of(runtime, "old") == [9090], "the new one does not want it"
    assert (await runtime.inspect_container("old")).standby
    await runtime.promote_container("old", replaces="new")
    assert await ports_of(runtime, "old") == [8080, 9090]
    assert (await runtime.inspect_container("new")).standby


async def test_a_refused_promotion_changes_nothing() -> None:
    runtime = await two("8080", "7070")
    other = ContainerConfig("img", ports=(PortBinding(80, host_port="7070"),))
    await runtime.create_container("other", other)
    await runtime.start_container("other")
    before = dict(runtime.containers)
    for ref, replaces, error, text in (
        ("new", "old", Conflict, "port 7070"),
        ("new", "", Conflict, "port 8080"),
        ("old", "", Conflict, "not in standby"),
        ("none", "old", NotFound, "No such container"),
        ("new", "none", NotFound, "No such container"),
    ):
        with pytest.raises(error, match=text):
            await runtime.promote_container(ref, replaces=replaces)
    assert runtime.containers == before
    await runtime.stop_container("new")
    with pytest.raises(Conflict, match="is not running"):
        await runtime.promote_container("new", replaces="old")


async def test_connections_run_out() -> None:
    runtime = await two("8080")
    runtime.connections["old"] = (2, 1, 0)
    assert [await runtime.count_connections("old") for _ in range(4)] == [2, 1, 0, 0]
    assert await runtime.count_connections("new") == 0
    await runtime.stop_container("old")
    with pytest.raises(Conflict, match="is not running"):
        await runtime.count_connections("old")


async def test_another_engine_knows_no_standby() -> None:
    with pytest.raises(Conflict, match="port 8080"):
        await two("8080", handover=False)
    runtime = await two("8888", handover=False)
    assert await ports_of(runtime, "new") == [8888]
    for refused in (runtime.promote_container("new"), runtime.count_connections("new")):
        with pytest.raises(NotSupported, match="hand over"):
            await refused


def test_standby_is_observed() -> None:
    standby = {"Id": "1", "Stackr": {"Standby": True, "ReplacedBy": ""}}
    assert container_listed(standby).standby
    assert container_inspected(standby).standby
    assert not container_listed({"Id": "1"}).standby
    assert not container_inspected({"Id": "1", "Stackr": {"Standby": False}}).standby
