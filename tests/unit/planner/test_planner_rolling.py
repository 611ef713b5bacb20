"""Updates replica by replica: their order as a plan's text, and what a failure does to the rest."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest
from fake_runtime import Behaviour, FakeRuntime
from planning import needs, plan_for, published, service, stack, up

from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import observe
from stackr.planner.plan.model import Action, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import Gate
from stackr.runtime.types import Capabilities
from stackr.spec.model.deploy import Deploy, UpdateConfig
from stackr.spec.model.project import Project
from stackr.spec.model.service import Healthcheck, Service


def web(
    user: str,
    *,
    replicas: int = 1,
    port: int | None = None,
    rollback: UpdateConfig | None = None,
    **rules: Any,
) -> Service:
    return service(
        user=user,
        scale=replicas,
        ports=published(*([port] if port else [])),
        healthcheck=Healthcheck(test=("CMD", "true")),
        deploy=Deploy(update_config=UpdateConfig(**rules), rollback_config=rollback),
    )


async def running(project: Project, *, handover: bool = True, **more: Any) -> FakeRuntime:
    runtime = FakeRuntime.with_images("app", **more)
    runtime.capabilities = Capabilities(handover=handover)
    await up(runtime, project)
    return runtime


async def update(runtime: FakeRuntime, project: Project, options: UpOptions | None = None) -> Plan:
    return plan_for(project, await observe(runtime, "demo", desired(project)), options)


def steps(plan: Plan) -> list[str]:
    return [f"{o.action.value} {o.resource.name}" for o in plan.operations]


def shown(plan: Plan) -> str:
    """The plan's text, without the IDs that temporary names begin with."""
    return re.sub(r"[0-9a-f]{12}_", "", f"{plan}\n").replace("container:demo-", "")


async def test_start_first_hands_the_port_over() -> None:
    before, after = (web(user, order="start-first", port=80) for user in "12")
    runtime = await running(stack({"web": before}))
    assert shown(await update(runtime, stack({"web": after}))) == textwrap.dedent("""\
        #1 web-1 create container as demo-web-1: recreate: user changed
        [1] -> #2 web-1 start container: created
        [2] -> #3 web-1 wait for running_or_healthy: update
        [3] -> #4 web-1 promote container: takes over ports and names
        [4] -> #5 web-1 drain container: its connections may end
        [5] -> #6 web-1 stop container: user changed
        [6] -> #7 web-1 remove container: replaced
        [6,7] -> #8 web-1 rename container: takes the place of the old one
        [3,8] -> #9 service:web check update: 1 updated
        """)


async def test_an_engine_without_handover_stops_first_where_ports_are_published() -> None:
    before, after = (web(user, order="start-first", port=80) for user in "12")
    runtime = await running(stack({"web": before}), handover=False)
    plan = await update(runtime, stack({"web": after}))
    assert "cannot hand ports" in plan.warnings[0]
    done = steps(plan)
    assert done.index("stop container demo-web-1") < done.index("start container demo-web-1")
    portless = await update(runtime, stack({"web": web("2", order="start-first")}))
    assert portless.warnings == ()
    done = steps(portless)
    assert done.index("start container demo-web-1") < done.index("stop container demo-web-1")


async def test_batches_follow_one_another() -> None:
    runtime = await running(stack({"web": web("1", replicas=3)}))
    after = web("2", replicas=3, parallelism=2, delay=2, monitor=1)
    plan = await update(runtime, stack({"web": after}))
    done = steps(plan)
    checks = [at for at, step in enumerate(done) if step == "check update web"]
    assert len(checks) == 2
    for replica in ("demo-web-1", "demo-web-2"):
        assert done.index(f"monitor container {replica}") < checks[0]
    assert checks[0] < done.index("delay web") < done.index("stop container demo-web-3")
    assert "delay web" not in done[checks[1] :]


async def test_no_update_config_recreates_all_at_once() -> None:
    runtime = await running(stack({"web": service(user="1", scale=2)}))
    plan = await update(runtime, stack({"web": service(user="2", scale=2)}))
    assert not {Action.CHECK_UPDATE, Action.PROMOTE_CONTAINER} & {o.action for o in plan.operations}


async def test_who_stops_before_what_it_depends_on_cannot_start_first() -> None:
    def both(user: str) -> Project:
        tied = web(user, order="start-first")
        depends = {"depends_on": needs("db", restart=True)}
        return stack({"web": tied.model_copy(update=depends), "db": service(user=user)})

    runtime = await running(both("1"))
    done = steps(await update(runtime, both("2")))
    order = ["stop container demo-web-1", "stop container demo-db-1", "start container demo-db-1"]
    assert [step for step in done if step in order] == order


@pytest.mark.parametrize("handover", [True, False])
async def test_who_stops_before_the_updates_own_needs_is_not_held(handover: bool) -> None:
    """Its end is what the new container waits for: held until that is ready, both would wait."""

    def all_of(user: str) -> Project:
        tied = web(user, order="start-first").model_copy(update={"depends_on": needs("db")})
        last = service(user=user, depends_on=needs("web", "db", restart=True))
        return stack({"db": service(user=user), "web": tied, "probe": last})

    runtime = await running(all_of("1"), handover=handover)
    done = steps(await update(runtime, all_of("2")))
    order = [
        "stop container demo-probe-1",
        "stop container demo-db-1",
        "start container demo-db-1",
        "start container demo-web-1",
        "stop container demo-web-1",
        "start container demo-probe-1",
    ]
    assert [step for step in done if step in order] == order


async def test_a_rollback_has_rules_of_its_own() -> None:
    back = UpdateConfig(parallelism=0, failure_action="continue")
    runtime = await running(stack({"web": web("1", replicas=3)}))
    target = stack({"web": web("2", replicas=3, rollback=back)})
    assert steps(await update(runtime, target)).count("check update web") == 3
    plan = await update(runtime, target, UpOptions(is_rollback=True))
    [gate] = [o.payload for o in plan.operations if isinstance(o.payload, Gate)]
    assert (gate.action, gate.tolerated) == ("continue", 3)
    plan = await update(runtime, stack({"web": web("2", replicas=3)}), UpOptions(is_rollback=True))
    assert steps(plan).count("check update web") == 3, "as an update, without rules of its own"


@pytest.mark.parametrize(
    ("rules", "updated", "said"),
    [
        ({}, 1, "stops here"),
        ({"failure_action": "rollback"}, 1, "is rolled back"),
        ({"failure_action": "continue"}, 4, ""),
        ({"max_failure_ratio": 0.25}, 2, "stops here"),
        ({"max_failure_ratio": 1.0}, 4, ""),
    ],
)
async def test_what_a_failed_replica_does_to_the_others(
    rules: dict[str, Any], updated: int, said: str
) -> None:
    """Every new replica ends at once, so that the update stops with the first, or never."""
    runtime = await running(stack({"web": web("1", replicas=4)}))
    runtime.behaviours = {"web": Behaviour(exit_code=3)}
    _, outcome = await up(runtime, stack({"web": web("2", replicas=4, **rules)}))
    started = [call for call in runtime.calls if call.startswith("start_container")]
    assert len(started) == 4 + updated
    gates = [f for f in outcome.failed if isinstance(f.operation.payload, Gate)]
    assert [said in f.error.message for f in gates] == ([True] if said else [])
    assert not outcome.is_success


async def test_a_standby_that_fails_leaves_the_old_one_in_place() -> None:
    before, after = (web(user, order="start-first", port=80) for user in "12")
    runtime = await running(stack({"web": before}))
    [old] = runtime.containers.values()
    runtime.behaviours = {"web": Behaviour(health=("unhealthy",))}
    _, outcome = await up(runtime, stack({"web": after}))
    assert not outcome.is_success
    assert runtime.containers[old.id].is_running
    assert not runtime.containers[old.id].standby
    runtime.behaviours = {"web": Behaviour()}
    _, outcome = await up(runtime, stack({"web": after}))
    assert outcome.is_success, [f.error.message for f in outcome.failed]
    assert [c.name for c in runtime.containers.values()] == ["demo-web-1"]
    assert (await update(runtime, stack({"web": after}))).is_empty


async def test_an_image_that_cannot_be_pulled_is_no_failed_update() -> None:
    before, after = (web(user, failure_action="rollback") for user in "12")
    runtime = await running(stack({"web": before}))
    after = after.model_copy(update={"image": "absent"})
    _, outcome = await up(runtime, stack({"web": after}))
    assert [f.operation.action for f in outcome.failed] == [Action.PULL_IMAGE]
    assert Action.CHECK_UPDATE in {s.operation.action for s in outcome.skipped}
