"""Plans for what exists: down, stop, start, restart, pause, kill, rm."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest
from fake_runtime import Behaviour, FakeRuntime
from planning import needs, published, service, stack, up

from stackr.errors import Conflict, NotFound
from stackr.executor.apply import apply
from stackr.planner.commands.lifecycle import (
    plan_down,
    plan_kill,
    plan_pause,
    plan_remove,
    plan_stop,
    plan_unpause,
)
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.commands.restarting import plan_restart, plan_start
from stackr.planner.desired.project import desired
from stackr.planner.images.refresh import plan_pull, plan_refresh
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.planner.plan.sequence import in_sequence
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig
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


async def three_deep(**attributes: bool) -> tuple[FakeRuntime, Observed]:
    """edge needs app, which needs db to have completed; other needs nobody."""
    runtime = FakeRuntime.with_images("app", behaviours={"db": Behaviour(exit_code=0)})
    completed = "service_completed_successfully"
    project = stack(
        {
            "db": service(),
            "app": service(depends_on=needs("db", condition=completed, **attributes)),
            "edge": service(depends_on=needs("app", **attributes)),
            "other": service(depends_on=needs("db")),
        }
    )
    await up(runtime, project)
    return runtime, await observe(runtime, "demo")


async def test_start_takes_along_all_that_is_needed() -> None:
    runtime, observed = await three_deep()
    await apply(plan_stop(observed), runtime, lambda event: None)
    stopped = await observe(runtime, "demo")
    assert shape(plan_start(stopped, ["edge"])) == textwrap.dedent(
        """\
        #1 container:demo-db-1 start container: needed by others
        [1] -> #2 container:demo-db-1 wait for service_completed_successfully: \
service_completed_successfully
        [2] -> #3 container:demo-app-1 start container: needed by others
        [3] -> #4 container:demo-edge-1 start container: asked for
        """
    )
    waits = shape(plan_start(stopped, ["other"], wait=True)).splitlines()
    assert waits[1:] == [
        "[1] -> #2 container:demo-other-1 start container: asked for",
        "[1] -> #3 container:demo-db-1 wait for service_completed_successfully: "
        "service_completed_successfully",
        "[2] -> #4 container:demo-other-1 wait for running_or_healthy: running_or_healthy",
    ]


async def test_start_misses_a_dependency_whose_condition_needs_it() -> None:
    runtime, observed = await three_deep()
    await apply(plan_stop(observed), runtime, lambda event: None)
    await runtime.remove_container("demo-db-1")
    without = await observe(runtime, "demo")
    with pytest.raises(Conflict, match="app is missing dependency db"):
        plan_start(without, ["edge"])
    assert "edge" in shape(plan_start(without, ["edge"], optional={("app", "db")}))
    assert "other" in shape(plan_start(without, ["other"]))


async def test_restart_true_goes_on_to_the_last() -> None:
    _, observed = await three_deep(restart=True)
    names = [change.resource.service for change in plan_restart(observed, ["db"]).changes]
    assert names == ["db", "app", "edge"]
    assert "wait for service_completed" in shape(plan_restart(observed, ["db"]))
    _, plain = await three_deep()
    assert [change.resource.service for change in plan_restart(plain, ["db"]).changes] == ["db"]
    assert "wait for" not in shape(plan_restart(plain))


async def test_an_optional_dependency_may_fail() -> None:
    runtime, observed = await three_deep()
    await apply(plan_stop(observed), runtime, lambda event: None)
    plan = plan_start(await observe(runtime, "demo"), ["app"], optional={("app", "db")})
    assert [operation.is_optional for operation in plan.operations] == [False, True, False]


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


async def with_oneoffs() -> tuple[FakeRuntime, Observed]:
    """Also a one-off container of web that runs, and one of db that has ended."""
    runtime, _ = await running()
    for name, of, state in (("run-1", "web", "running"), ("run-2", "db", "exited")):
        config = ContainerConfig(
            "app",
            labels={labels.PROJECT: "demo", labels.SERVICE: of, labels.ONEOFF: "True"},
        )
        id = await runtime.create_container(f"demo-{of}-{name}", config)
        await runtime.start_container(id)
        if state == "exited":
            await runtime.stop_container(id)
    return runtime, await observe(runtime, "demo")


async def test_pause_and_unpause() -> None:
    runtime, observed = await with_oneoffs()
    plan = plan_pause(observed, ["web"])
    assert shape(plan) == "#1 container:demo-web-1 pause container: asked for\n"
    assert [change.cause for change in plan.changes] == ["paused"]
    await apply(plan, runtime, lambda event: None)
    assert (await runtime.inspect_container("demo-web-1")).state == "paused"
    await apply(plan_unpause(await observe(runtime, "demo"), ["web"]), runtime, lambda event: None)
    assert (await runtime.inspect_container("demo-web-1")).state == "running"


async def test_one_off_containers_are_killed_and_otherwise_left_alone() -> None:
    _, observed = await with_oneoffs()

    def names(plan: Plan) -> list[str]:
        return sorted({operation.resource.name for operation in plan.operations})

    assert names(plan_kill(observed)) == ["demo-db-1", "demo-web-1", "demo-web-run-1"]
    assert names(plan_kill(observed, ["web"])) == ["demo-web-1", "demo-web-run-1"]
    assert names(plan_kill(observed.only({"db"}))) == ["demo-db-1"]
    for plan in (plan_stop(observed), plan_restart(observed), plan_pause(observed)):
        assert names(plan) == ["demo-db-1", "demo-web-1"]
    assert plan_remove(observed).is_empty


async def test_down_removes_one_off_containers_with_the_orphans() -> None:
    _, observed = await with_oneoffs()
    kept = plan_down(observed, None, desired(PROJECT))
    assert [warning.split(":")[0] for warning in kept.warnings] == [
        "found orphan containers (demo-db-run-2, demo-web-run-1) for this project"
    ]
    assert "run" not in str(kept)
    for wanted in (None, desired(PROJECT)):
        plan = str(plan_down(observed, DownOptions(remove_orphans=True), wanted))
        assert "container:demo-web-run-1 stop container" in plan
        assert "container:demo-web-run-1 remove container" in plan
        assert "container:demo-db-run-2 remove container" in plan


async def test_up_with_remove_orphans_removes_one_offs_that_have_ended() -> None:
    _, observed = await with_oneoffs()
    wanted = desired(PROJECT)
    assert reconcile(wanted, observed).warnings == ()
    plan = reconcile(wanted, observed, UpOptions(remove_orphans=True))
    assert str(plan) == "#1 container:demo-db-run-2 remove container: orphan"
    assert [change.cause for change in plan.changes] == ["orphan: it has ended"]


async def test_plans_in_sequence() -> None:
    _, observed = await running()
    first, second = plan_stop(observed), plan_remove(observed, stop=True)
    both = in_sequence(first, second)
    assert shape(both) == textwrap.dedent(
        """\
        #1 container:demo-web-1 stop container: asked for
        [1] -> #2 container:demo-db-1 stop container: asked for
        [2] -> #3 container:demo-web-1 stop container: asked for
        [3] -> #4 container:demo-db-1 stop container: asked for
        [4] -> #5 container:demo-db-1 remove container: asked for
        [3] -> #6 container:demo-web-1 remove container: asked for
        """
    )
    assert len(both.changes) == len(first.changes) + len(second.changes)
    for whole in (in_sequence(Plan("demo"), first), in_sequence(first, Plan("demo"))):
        assert whole.operations == first.operations


def test_all_resources_are_wanted_on_request() -> None:
    project = stack(
        {"web": service()},
        networks={"unused": Network(name="demo_unused")},
        volumes={"data": Volume(name="demo_data")},
    )
    assert set(desired(project).networks) == {"default"}
    everything = desired(project, all_resources=True)
    assert set(everything.networks) == {"default", "unused"}
    assert set(everything.volumes) == {"data"}


async def test_what_was_never_whole_is_not_started_and_goes() -> None:
    _, observed = await running()
    half_made = tuple(
        replace(c, name=f"{c.name}-unfinished-0123456789ab", state="created")
        for c in observed.containers
    )
    observed = replace(observed, containers=half_made)
    assert shape(plan_start(observed)) == shape(plan_restart(observed)) == ""
    assert plan_down(observed).summary["remove"] == 3
