"""`pre_start`: which steps run, before what, when again, and what is left of them."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Mapping
from typing import Any

import pytest
from fake_runtime import Behaviour, FakeRuntime, image
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import Recorder, needs, plan_for, service, stack, up

from stackr.errors import Conflict, Internal
from stackr.executor.apply import apply
from stackr.planner.commands.lifecycle import plan_down, plan_kill, plan_remove, plan_stop
from stackr.planner.commands.oneoff import needs_options, plan_needs
from stackr.planner.commands.restarting import plan_restart, plan_start
from stackr.planner.commands.undo import plan_undo
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.planner.plan.payloads import CreateContainer, RunStep
from stackr.runtime import labels
from stackr.runtime.types import Capabilities, ContainerState
from stackr.spec.model.deploy import Deploy, UpdateConfig
from stackr.spec.model.mounts import FileGrant
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import InitStep, Service

ONE = InitStep(command=("one",), image="app")
TWO = InitStep(command=("two",), image="tool")
EACH = InitStep(command=("each",), per_replica=True)


def web(*steps: InitStep, **attributes: Any) -> Service:
    return service(pre_start=steps, **attributes)


def runtime_of(behaviours: Mapping[str, Behaviour] = {}) -> FakeRuntime:
    return FakeRuntime.with_images("app", "tool", "app:2", behaviours=behaviours)


FAILS = {"demo-web-pre_start.1": Behaviour(exit_code=3)}


def shape(plan: Plan) -> str:
    return f"{plan}\n" if plan.operations else ""


def ran(plan: Plan) -> list[str]:
    return [each.resource.name for each in plan.operations if isinstance(each.payload, RunStep)]


def left(runtime: FakeRuntime) -> list[str]:
    return sorted(c.name for c in runtime.containers.values() if labels.HOOK in c.labels)


def state_of(runtime: FakeRuntime, name: str) -> str:
    return next(c.state for c in runtime.containers.values() if c.name == name)


def test_steps_run_in_their_order_between_creation_and_start() -> None:
    project = stack({"db": service(), "web": web(ONE, TWO, depends_on=needs("db"))})
    assert shape(plan_for(project, seen())) == textwrap.dedent(
        """\
        #1 network:demo_default create network: not found
        [1] -> #2 container:demo-db-1 create container: no existing container
        [1] -> #3 container:demo-web-1 create container: no existing container
        [2] -> #4 container:demo-db-1 start container: created
        [3,4] -> #5 container:demo-web-pre_start.0 run step: before service "web" starts
        [5] -> #6 container:demo-web-pre_start.1 run step: before service "web" starts
        [3,4,6] -> #7 container:demo-web-1 start container: created
        [7] -> #8 container:demo-web-pre_start.0 remove container: it is done
        [7] -> #9 container:demo-web-pre_start.1 remove container: it is done
        """
    )


def seen() -> Observed:
    return Observed("demo", images={name: image(name) for name in ("app", "tool", "app:2")})


def test_what_a_step_is_made_of() -> None:
    step = InitStep(
        command=("x",), image="tool", environment={"B": "2", "C": None}, privileged=True
    )
    own = InitStep(image="app", user="me", working_dir="/own")
    attributes = {"environment": {"A": "1", "B": "1"}, "user": "app", "working_dir": "/srv"}
    plan = plan_for(stack({"web": web(step, own, InitStep(), **attributes)}), seen())
    other, named, bare = (
        each.payload for each in plan.operations if isinstance(each.payload, RunStep)
    )
    assert (other.config.image, other.config.command) == ("tool", ("x",))
    assert other.config.environment == {"A": "1", "B": "2", "C": None}
    assert (other.config.user, other.config.working_dir) == ("", "/srv")
    assert other.config.privileged
    assert [each.network for each in other.config.networks] == ["demo_default"]
    assert not any(each.aliases for each in other.config.networks)
    assert (other.config.labels[labels.HOOK], other.config.labels[labels.SERVICE]) == (
        "pre_start",
        "web",
    )
    assert labels.CONFIG_HASH not in other.config.labels
    assert (named.config.user, named.config.working_dir) == ("me", "/own")
    assert (bare.config.image, bare.config.command, bare.config.user) == ("app", None, "app")
    assert (bare.index, bare.target) == (2, "demo-web-1")


def test_images_of_steps_are_pulled_with_the_service() -> None:
    plan = plan_for(stack({"web": web(TWO)}), Observed("demo", images={"app": image("app")}))
    assert "image:tool pull image: not found" in str(plan)
    create = next(each for each in plan.operations if isinstance(each.payload, CreateContainer))
    pull = next(each for each in plan.operations if each.resource.name == "tool")
    assert pull.id in create.depends_on


def test_a_diff_shows_what_runs() -> None:
    plan = plan_for(stack({"web": web(TWO)}), seen())
    (change,) = [each for each in plan.changes if each.kind.value == "run"]
    assert change.resource.name == "demo-web-pre_start.0"
    assert {each.path: each.new for each in change.fields} == {
        "pre_start[0].command": ["two"],
        "pre_start[0].image": "tool",
    }
    assert plan.summary == {"create": 2, "run": 1}


async def test_what_has_succeeded_is_not_run_again() -> None:
    runtime, project = runtime_of(), stack({"web": web(ONE, TWO)})
    plan, outcome = await up(runtime, project)
    assert (ran(plan), outcome.failed) == (["demo-web-pre_start.0", "demo-web-pre_start.1"], [])
    assert left(runtime) == []
    again, _ = await up(runtime, project)
    assert again.is_empty
    await runtime.stop_container("demo-web-1")
    started, _ = await up(runtime, project)
    assert ran(started) == []
    more, _ = await up(runtime, project, UpOptions(scale={"web": 3}))
    assert ran(more) == []


@pytest.mark.parametrize(
    "change",
    [
        {"pre_start": (ONE, InitStep(command=("other",)))},
        {"image": "app:2"},
        {"environment": {"A": "b"}},
    ],
)
async def test_steps_run_again_with_another_definition_or_service(change: dict[str, Any]) -> None:
    runtime = runtime_of()
    await up(runtime, stack({"web": web(ONE, TWO)}))
    changed = service(**{"pre_start": (ONE, TWO), **change})
    plan, outcome = await up(runtime, stack({"web": changed}))
    assert ran(plan) == ["demo-web-pre_start.0", "demo-web-pre_start.1"]
    assert (outcome.failed, left(runtime)) == ([], [])
    forced, _ = await up(runtime, stack({"web": changed}), UpOptions(recreate="force"))
    assert len(ran(forced)) == 2


async def test_the_old_container_has_stopped_before_the_steps_of_the_new_one() -> None:
    runtime = runtime_of()
    await up(runtime, stack({"web": web(ONE)}))
    runtime.calls.clear()
    await up(runtime, stack({"web": web(TWO)}))
    calls = [each.partition(" ")[0] for each in runtime.calls if not each.startswith("inspect")]
    assert calls.index("stop_container") < calls.index("wait_container")
    assert calls.index("wait_container") < len(calls) - 1 - calls[::-1].index("start_container")


async def test_a_step_that_fails_keeps_the_service_and_its_dependants_from_starting() -> None:
    runtime = runtime_of(FAILS)
    project = stack({"web": web(ONE, TWO, ONE), "edge": service(depends_on=needs("web"))})
    _, outcome = await up(runtime, project)
    (failure,) = outcome.failed
    assert failure.error.message == "pre_start[1] exited with code 3"
    assert state_of(runtime, "demo-web-1") == state_of(runtime, "demo-edge-1") == "created"
    assert left(runtime) == ["demo-web-pre_start.0", "demo-web-pre_start.1"]

    runtime.behaviours = {}
    plan, outcome = await up(runtime, project)
    assert ran(plan) == ["demo-web-pre_start.1", "demo-web-pre_start.2"]
    assert (outcome.failed, left(runtime)) == ([], [])
    assert state_of(runtime, "demo-edge-1") == "running"


async def test_what_was_done_for_another_container_is_done_again() -> None:
    runtime = runtime_of(FAILS)
    project = stack({"web": web(ONE, TWO)})
    await up(runtime, project)
    runtime.behaviours = {}
    plan, outcome = await up(runtime, project, UpOptions(recreate="force"))
    assert ran(plan) == ["demo-web-pre_start.0", "demo-web-pre_start.1"]
    assert (outcome.failed, left(runtime)) == ([], [])


async def test_a_step_that_still_runs_is_waited_for() -> None:
    runtime = runtime_of({"demo-web-pre_start.0": Behaviour()})
    project = stack({"web": web(ONE)})
    cut_off = asyncio.create_task(up(runtime, project))
    while not any(call.startswith("wait_container") for call in runtime.calls):
        await asyncio.sleep(0)
    observed = await observe(runtime, "demo")
    cut_off.cancel()
    plan = plan_for(project, observed)
    assert 'run step: before service "web" starts: it runs already' in str(plan)
    (step,) = [each.payload for each in plan.operations if isinstance(each.payload, RunStep)]
    assert step.running == observed.steps[0].id
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    assert left(runtime) == []


async def test_a_step_that_takes_too_long_is_told_and_goes_on() -> None:
    runtime = runtime_of({"demo-web-pre_start.0": Behaviour()})
    options = UpOptions(wait=True, wait_timeout_s=0.05)
    _, outcome = await up(runtime, stack({"web": web(ONE)}), options)
    assert outcome.failed[0].error.message == "pre_start[0] has not ended after 0.05 s"
    assert state_of(runtime, "demo-web-pre_start.0") == "running"


async def test_one_that_cannot_be_started_leaves_nothing() -> None:
    runtime = runtime_of()
    runtime.failures["start_container"] = Internal("no such program")
    _, outcome = await up(runtime, stack({"web": web(ONE)}))
    assert [str(failure.error) for failure in outcome.failed] == ["no such program"]
    assert left(runtime) == []


async def test_steps_of_each_replica_run_before_it_starts() -> None:
    runtime, project = runtime_of(), stack({"web": web(ONE, EACH, TWO, scale=2)})
    plan, _ = await up(runtime, project)
    assert ran(plan) == [
        "demo-web-pre_start.0",
        "demo-web-1-pre_start.1",
        "demo-web-2-pre_start.1",
        "demo-web-pre_start.2",
    ]
    each = [c for c in runtime.configs.values() if c.command == ("each",)]
    assert [c.volumes_from for c in each] == [
        (container.id,)
        for container in runtime.containers.values()
        if container.name in ("demo-web-1", "demo-web-2")
    ]
    assert left(runtime) == []
    more, _ = await up(runtime, project, UpOptions(scale={"web": 3}))
    assert ran(more) == ["demo-web-3-pre_start.1"]


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
async def test_an_update_replica_by_replica_runs_them_first(order: str) -> None:
    runtime = runtime_of()
    runtime.capabilities = Capabilities(handover=True, update_labels=True)
    rules: dict[str, Any] = {"deploy": Deploy(update_config=UpdateConfig(order=order)), "scale": 2}
    await up(runtime, stack({"web": web(ONE, EACH, **rules)}))
    runtime.behaviours = {"demo-web-pre_start.0": Behaviour(exit_code=1)}
    changed = stack({"web": web(TWO, EACH, **rules)})
    _, outcome = await up(runtime, changed)
    assert str(outcome.failed[0].error) == "pre_start[0] exited with code 1"
    assert state_of(runtime, "demo-web-1") == state_of(runtime, "demo-web-2") == "running"

    runtime.behaviours = {}
    plan, outcome = await up(runtime, changed)
    assert (outcome.failed, left(runtime)) == ([], [])
    assert "demo-web-pre_start.0" in ran(plan)
    assert (await up(runtime, changed))[0].is_empty


async def test_start_and_restart_run_what_has_not_run() -> None:
    for make in (plan_start, plan_restart):
        runtime, project = runtime_of(), stack({"web": web(ONE, EACH, scale=2)})
        await up(runtime, project, UpOptions(start=False))
        assert left(runtime) == []
        plan = make(await observe(runtime, "demo"))
        assert ran(plan) == [
            "demo-web-pre_start.0",
            "demo-web-1-pre_start.1",
            "demo-web-2-pre_start.1",
        ]
        assert (await apply(plan, runtime, Recorder())).failed == []
        assert left(runtime) == []
        assert ran(make(await observe(runtime, "demo"))) == []


def test_start_does_not_do_without_the_files_of_steps() -> None:
    container = _created(web(ONE, secrets=(FileGrant(source="key"),)))
    with pytest.raises(Conflict, match="pre_start steps have not run"):
        plan_start(Observed("demo", containers=(container,)))


def _created(made: Service) -> ContainerState:
    project = stack({"web": made}, secrets={"key": FileObject(name="key", content="x")})
    own = desired(project).services["web"].base_labels
    return ContainerState(
        "c1", "demo-web-1", labels={**own, labels.CONTAINER_NUMBER: "1"}, state="created"
    )


async def test_down_rm_stop_and_kill_know_of_steps() -> None:
    runtime = runtime_of({**FAILS, "demo-other-pre_start.0": Behaviour()})
    project = stack({"web": web(ONE, TWO), "other": web(ONE)})
    await up(runtime, project, UpOptions(wait_timeout_s=0.05))
    observed = await observe(runtime, "demo")
    assert [c.name for c in observed.containers] == ["demo-other-1", "demo-web-1"]
    assert observed.oneoffs == ()
    assert "demo-other-pre_start.0 stop container" in str(plan_stop(observed))
    assert "demo-other-pre_start.0 kill container" in str(plan_kill(observed))
    assert "demo-web-pre_start.1 remove container" in str(plan_remove(observed))
    assert "demo-other-pre_start.0" not in str(plan_remove(observed))
    assert "demo-other-pre_start.0 remove" in str(plan_remove(observed, stop=True))
    one = str(plan_down(observed, DownOptions(services=("web",))))
    assert "demo-web-pre_start.0" in one
    assert "demo-other-pre_start.0" not in one
    assert {"demo-web-pre_start.0", "demo-web-pre_start.1", "demo-other-pre_start.0"} <= {
        each.resource.name for each in plan_down(observed).operations
    }


async def test_run_leaves_the_steps_of_its_service_alone() -> None:
    """Those of what it needs are run."""
    runtime = runtime_of(FAILS)
    project = stack({"db": web(EACH), "web": web(ONE, TWO, depends_on=needs("db"))})
    await up(runtime, project)
    await runtime.remove_container("demo-db-1", force=True)
    options = UpOptions()
    wanted = desired(project, needs_options("web", options))
    plan = plan_needs(wanted, await observe(runtime, "demo", wanted), "web", options)
    assert ran(plan) == ["demo-db-1-pre_start.0"]
    assert "demo-web" not in str(plan)


async def test_going_back_leaves_no_step() -> None:
    runtime = runtime_of(FAILS)
    before = await observe(runtime, "demo")
    await up(runtime, stack({"web": web(ONE, TWO)}))
    plan = plan_undo(before, await observe(runtime, "demo"))
    removed = {each.resource.name for each in plan.operations}
    assert {"demo-web-1", "demo-web-pre_start.0", "demo-web-pre_start.1"} <= removed


async def test_steps_of_a_service_that_is_gone_go_with_the_orphans() -> None:
    runtime = runtime_of(FAILS)
    await up(runtime, stack({"web": web(ONE, TWO)}))
    rest = stack({"db": service()})
    await up(runtime, rest)
    assert len(left(runtime)) == 2
    await up(runtime, rest, UpOptions(remove_orphans=True))
    assert left(runtime) == []


_STEPS = st.lists(st.builds(InitStep, command=st.just(("x",)), per_replica=st.booleans()))
_CUT = st.integers(min_value=0, max_value=30)


@settings(max_examples=40, deadline=None)
@given(_STEPS, st.integers(1, 3), st.lists(_CUT, max_size=3), st.booleans())
def test_cut_off_anywhere_it_is_carried_on(
    steps: list[InitStep], scale: int, cuts: list[int], is_changed: bool
) -> None:
    """However often it fails, an `up` that succeeds leaves all running, and nothing else."""
    made = web(*steps, scale=scale)
    project = stack({"web": made, "edge": service(depends_on=needs("web"))})
    other = stack({**project.services, "web": made.model_copy(update={"user": "me"})})
    asyncio.run(_carried_on(project, other if is_changed else project, cuts))


async def _carried_on(first: Project, then: Project, cuts: list[int]) -> None:
    runtime = runtime_of()
    for cut in cuts:
        runtime.changes_left = cut
        await up(runtime, first)
    runtime.changes_left = None
    plan, outcome = await up(runtime, then)
    assert outcome.failed == []
    assert left(runtime) == []
    assert all(c.state == "running" for c in runtime.containers.values())
    assert (await up(runtime, then))[0].is_empty
    _check_order(plan)


def _check_order(plan: Plan) -> None:
    """Each start of the service follows all the steps that run once for it."""
    once = [
        each.id
        for each in plan.operations
        if isinstance(each.payload, RunStep) and each.resource.number == 0
    ]
    for each in plan.operations:
        if each.action.value == "start container" and each.resource.service == "web":
            assert all(_follows(plan, each.id, step) for step in once)


def _follows(plan: Plan, later: int, earlier: int) -> bool:
    pending = [later]
    while pending:
        id = pending.pop()
        if id == earlier:
            return True
        pending += plan.operations[id - 1].depends_on
    return False
