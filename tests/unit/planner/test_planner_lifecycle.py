"""Plans for what exists: down, stop, start, restart, kill, rm."""

from __future__ import annotations

import textwrap

import pytest
from planning import needs, published, service, stack, up

from stackr.errors import NotFound
from stackr.executor.apply import apply
from stackr.planner.desired import desired
from stackr.planner.lifecycle import (
    plan_down,
    plan_kill,
    plan_remove,
    plan_restart,
    plan_start,
    plan_stop,
)
from stackr.planner.observed import Observed, observe
from stackr.planner.options import DownOptions
from stackr.planner.plan import Plan
from stackr.planner.reconcile import plan_pull, plan_refresh
from stackr.runtime.fake import FakeRuntime
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Network
from stackr.spec.model.volume import Volume

PROJECT = stack(
    {
        "web": service(depends_on=needs("db"), ports=published(80)),
        "db": service(volumes=(ServiceVolume(type="volume", source="data", target="/data"),)),
    },
    volumes={"data": Volume(name="demo_data")},
)


async def running() -> tuple[FakeRuntime, Observed]:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, PROJECT)
    return runtime, await observe(runtime, "demo")


def shape(plan: Plan) -> str:
    return "".join(f"{operation}\n" for operation in plan.operations)


async def test_down_without_the_stack_file() -> None:
    runtime, observed = await running()
    plan = plan_down(observed)
    assert shape(plan) == textwrap.dedent(
        """\
        #1 container:demo-web-1 stop container: down
        [1] -> #2 container:demo-db-1 stop container: down
        [2] -> #3 container:demo-db-1 remove container: down
        [1] -> #4 container:demo-web-1 remove container: down
        [3,4] -> #5 network:demo_default remove network: down
        """
    )
    outcome = await apply(plan, runtime, lambda event: None)
    assert outcome.is_success
    assert not runtime.containers
    assert not runtime.networks
    assert set(runtime.volumes) == {"demo_data"}
    assert plan_down(await observe(runtime, "demo")).is_empty


async def test_down_with_volumes_leaves_nothing() -> None:
    runtime, observed = await running()
    await apply(plan_down(observed, DownOptions(volumes=True)), runtime, lambda event: None)
    assert not runtime.volumes


async def test_down_never_removes_external_resources() -> None:
    runtime = FakeRuntime.with_images("app")
    project = stack(
        {"web": service(networks={"out": None})},
        networks={"out": Network(name="out", external=True)},
    )
    from stackr.runtime.types import NetworkConfig

    await runtime.create_network(NetworkConfig("out"))
    await up(runtime, project)
    observed = await observe(runtime, "demo", desired(project))
    plan = plan_down(observed, DownOptions(volumes=True), desired(project))
    await apply(plan, runtime, lambda event: None)
    assert set(runtime.networks) == {"out"}


async def test_down_keeps_orphans_unless_asked() -> None:
    _, observed = await running()
    smaller = desired(stack({"web": service()}))
    plan = plan_down(observed, None, smaller)
    assert [change.resource.name for change in plan.changes] == ["demo-web-1", "demo_default"]
    assert "demo-db-1" in plan.warnings[0]
    everything = plan_down(observed, DownOptions(remove_orphans=True), smaller)
    assert "demo-db-1" in [change.resource.name for change in everything.changes]


async def test_network_in_use_by_others_is_left_and_told() -> None:
    runtime, observed = await running()
    foreign = runtime.configs[runtime._find("demo-db-1").id]
    from dataclasses import replace

    await runtime.create_container("stranger", replace(foreign, labels={}))
    await runtime.start_container("stranger")
    details: list[str] = []
    outcome = await apply(
        plan_down(observed), runtime, lambda event: details.append(getattr(event, "detail", ""))
    )
    assert outcome.is_success
    assert any(detail.startswith("still in use") for detail in details)


async def test_down_removes_images_when_asked() -> None:
    _, observed = await running()
    plan = plan_down(observed, DownOptions(images="all"))
    assert shape(plan).splitlines()[-1] == "[3,4] -> #6 image:app remove image: asked for"
    local = plan_down(observed, DownOptions(images="local"), desired(PROJECT))
    assert "image:app" not in shape(local)


async def test_stop_then_start_in_order() -> None:
    runtime, observed = await running()
    assert shape(plan_stop(observed, timeout_s=3)) == (
        "#1 container:demo-web-1 stop container: asked for\n"
        "[1] -> #2 container:demo-db-1 stop container: asked for\n"
    )
    await apply(plan_stop(observed), runtime, lambda event: None)
    stopped = await observe(runtime, "demo")
    assert plan_stop(stopped).is_empty
    assert shape(plan_start(stopped)) == (
        "#1 container:demo-db-1 start container: asked for\n"
        "[1] -> #2 container:demo-web-1 start container: asked for\n"
    )
    assert plan_start(observed).is_empty


async def test_restart_follows_dependencies() -> None:
    _, observed = await running()
    assert shape(plan_restart(observed)) == (
        "#1 container:demo-db-1 restart container: asked for\n"
        "[1] -> #2 container:demo-web-1 restart container: asked for\n"
    )
    assert shape(plan_restart(observed, ["web"])) == (
        "#1 container:demo-web-1 restart container: asked for\n"
    )


async def test_restart_takes_along_those_with_restart_true() -> None:
    runtime = FakeRuntime.with_images("app")
    web = service(depends_on=needs("db", restart=True))
    await up(runtime, stack({"web": web, "db": service()}))
    observed = await observe(runtime, "demo")
    assert "demo-web-1" in shape(plan_restart(observed, ["db"]))
    assert "demo-web-1" not in shape(plan_restart(observed, ["db"], no_deps=True))


async def test_kill_and_rm() -> None:
    runtime, observed = await running()
    assert shape(plan_kill(observed, ["web"], signal="SIGHUP")) == (
        "#1 container:demo-web-1 kill container: SIGHUP\n"
    )
    assert plan_remove(observed).is_empty
    assert len(plan_remove(observed, stop=True).operations) == 4
    await runtime.kill_container("demo-web-1")
    after = await observe(runtime, "demo")
    assert [c.resource.name for c in plan_remove(after).changes] == ["demo-web-1"]


async def test_unknown_service_is_named() -> None:
    _, observed = await running()
    with pytest.raises(NotFound, match='"nope"'):
        plan_stop(observed, ["nope"])


async def test_pull_and_refresh() -> None:
    project = stack(
        {
            "web": service(pull_policy="always"),
            "db": service(image="db"),
            "off": service(image="off", pull_policy="never"),
        }
    )
    wanted = desired(project)
    assert shape(plan_refresh(wanted, Observed("demo"))) == (
        "#1 image:app pull image: pull policy is always\n"
    )
    assert shape(plan_pull(wanted, Observed("demo"))) == (
        "#1 image:app pull image: asked for\n#2 image:db pull image: asked for\n"
    )
