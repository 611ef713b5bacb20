"""Properties of every plan: it reaches what was asked for, then is empty; order does not matter."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from fake_runtime import FakeRuntime
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_strategies import engines, projects
from planning import plan_for, up

from stackr.planner.commands.lifecycle import plan_down
from stackr.planner.desired.keys import replicas
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.runtime import labels
from stackr.runtime.types import Capabilities
from stackr.spec.model.project import Project

_SETTINGS = settings(max_examples=25)


def check_order(plan: Plan) -> None:
    """Acyclic by numbers: each operation depends on lower ones only, that exist."""
    for place, operation in enumerate(plan.operations, start=1):
        assert operation.id == place
        assert all(0 < need < place for need in operation.depends_on)


async def look(runtime: FakeRuntime, project: Project) -> Observed:
    return await observe(runtime, project.name, desired(project))


@_SETTINGS
@given(projects(), projects(), engines(), st.booleans(), st.randoms(use_true_random=False))
def test_applied_plans_converge(
    first: Project, second: Project, engine: Capabilities, atomic: bool, chance: random.Random
) -> None:
    """From one stack to another, with accidents between: one `up` reaches it, and is enough."""

    async def scenario() -> None:
        runtime = FakeRuntime.with_images("app", "other")
        runtime.capabilities = engine
        for project in (first, second):
            options = UpOptions(remove_orphans=True, atomic=atomic)
            plan, outcome = await up(runtime, project, options)
            check_order(plan)
            assert outcome.is_success, [str(failure.error) for failure in outcome.failed]
            assert not outcome.failed
            check_reached(runtime, project)
            again = plan_for(project, await look(runtime, project), options)
            assert again.is_empty, str(again)
            await accident(runtime, chance)
        await up(runtime, second, UpOptions(remove_orphans=True))
        check_reached(runtime, second)

    asyncio.run(scenario())


def check_reached(runtime: FakeRuntime, project: Project) -> None:
    """As many containers as asked for, all running, each under its service's and number's name."""
    wanted = {n: replicas(each) for n, each in project.services.items() if replicas(each)}
    assert all(container.is_running for container in runtime.containers.values())
    places = [
        (container.labels[labels.SERVICE], container.labels[labels.CONTAINER_NUMBER])
        for container in runtime.containers.values()
    ]
    assert Counter(service for service, _ in places) == wanted
    assert {c.name for c in runtime.containers.values()} == {f"demo-{s}-{n}" for s, n in places}
    for container in runtime.containers.values():
        kind, _, joined = container.network_mode.partition(":")
        if kind == "container":
            assert 0 < runtime.containers[joined].started_at < container.started_at


async def accident(runtime: FakeRuntime, chance: random.Random) -> None:
    """Somebody kills, removes or renames a container."""
    if not runtime.containers:
        return
    victim = chance.choice(sorted(runtime.containers))
    match chance.randrange(4):
        case 0:
            await runtime.kill_container(victim)
        case 1:
            await runtime.remove_container(victim, force=True)
        case 2:
            name = runtime.containers[victim].name
            await runtime.rename_container(victim, f"0123456789ab_{name}")
        case _:
            pass


@_SETTINGS
@given(projects(), st.randoms(use_true_random=False))
def test_shuffled_input_gives_the_same_text(project: Project, chance: random.Random) -> None:
    def shuffled(values: dict[str, Any]) -> dict[str, Any]:
        items = list(values.items())
        chance.shuffle(items)
        return dict(items)

    other = project.model_copy(
        update={
            "services": shuffled(
                {
                    name: each.model_copy(
                        update={
                            "depends_on": shuffled(each.depends_on),
                            "networks": shuffled(each.networks),
                            "environment": shuffled(each.environment),
                        }
                    )
                    for name, each in project.services.items()
                }
            ),
            "networks": shuffled(project.networks),
        }
    )
    nothing = Observed("demo")
    assert str(plan_for(project, nothing)) == str(plan_for(other, nothing))
    assert plan_for(project, nothing).to_json() == plan_for(other, nothing).to_json()


@_SETTINGS
@given(projects())
def test_down_leaves_nothing(project: Project) -> None:
    async def scenario() -> None:
        from stackr.executor.apply import apply
        from stackr.planner.plan.options import DownOptions

        runtime = FakeRuntime.with_images("app", "other")
        await up(runtime, project)
        plan = plan_down(await observe(runtime, "demo"), DownOptions(volumes=True))
        check_order(plan)
        outcome = await apply(plan, runtime, lambda event: None)
        assert outcome.is_success
        assert not runtime.containers
        assert not runtime.networks
        assert not [v for v in runtime.volumes.values() if v.labels]

    asyncio.run(scenario())


@_SETTINGS
@given(projects(), engines(), st.integers(0, 40))
def test_interrupted_up_is_finished_by_the_next(
    project: Project, engine: Capabilities, steps: int
) -> None:
    """The client dies after some calls; the next `up` carries on from what is there."""

    async def scenario() -> None:
        runtime = FakeRuntime.with_images("app", "other")
        runtime.capabilities = engine
        await up(runtime, project)
        changed = project.model_copy(
            update={
                "services": {
                    name: each.model_copy(update={"user": "7"})
                    for name, each in project.services.items()
                }
            }
        )
        plan = plan_for(changed, await look(runtime, changed))
        cut = Plan(plan.project, plan.operations[: min(steps, len(plan.operations))])
        from stackr.executor.apply import apply

        await apply(cut, runtime, lambda event: None)
        _, outcome = await up(runtime, changed)
        assert outcome.is_success, [str(failure.error) for failure in outcome.failed]
        check_reached(runtime, changed)
        assert plan_for(changed, await look(runtime, changed)).is_empty

    asyncio.run(scenario())
