"""Atomic changes: what they replace is put aside, and a failed one is undone without a trace."""

from __future__ import annotations

import asyncio
from typing import Any

from fake_runtime import FakeRuntime
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_strategies import projects
from planning import plan_for, service, stack, up

from stackr.errors import Internal
from stackr.executor.apply import apply
from stackr.planner.commands.undo import plan_undo
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.options import UpOptions
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.project import Project
from stackr.spec.model.volume import Volume

ATOMIC = UpOptions(atomic=True, remove_orphans=True)
_SETTINGS = settings(max_examples=40)


def essence(observed: Observed) -> Any:
    """What a user would notice."""
    return (
        {
            (c.name, c.id, c.is_running, tuple(sorted(e.network for e in c.networks)))
            for c in observed.containers
        },
        set(observed.networks),
    )


async def undo(runtime: FakeRuntime, before: Observed) -> Any:
    now = await observe(runtime, "demo", limits=True)
    return await apply(plan_undo(before, now), runtime, lambda event: None)


def test_what_is_replaced_goes_last() -> None:
    async def scenario() -> None:
        runtime = FakeRuntime.with_images("app")
        await up(runtime, stack({"web": service(), "late": service()}))
        project = stack({"web": service(user="x")})
        old = runtime._find("demo-web-1").id[:12]
        plan = plan_for(project, await observe(runtime, "demo", desired(project)), ATOMIC)
        assert str(plan).splitlines() == [
            f"#1 container:demo-web-1 create container as {old}_demo-web-1: recreate: user changed",
            "[1] -> #2 container:demo-web-1 stop container: user changed",
            "[1,2] -> #3 container:demo-web-1 rename container as "
            f"demo-web-1-{old}-replaced: put aside until everything is ready",
            "[3] -> #4 container:demo-web-1 rename container: takes the place of the old one",
            "[4] -> #5 container:demo-web-1 start container: created",
            "[5] -> #6 container:demo-web-1 wait for running_or_healthy: --wait",
            "[6] -> #7 stack:demo commit: everything is ready",
            "[3,7] -> #8 container:demo-web-1 remove container: replaced",
            "[7] -> #9 container:demo-late-1 stop container: orphan",
            "[7,9] -> #10 container:demo-late-1 remove container: orphan",
        ]

    asyncio.run(scenario())


@_SETTINGS
@given(projects(), projects(), st.integers(0, 40))
def test_a_change_that_fails_anywhere_is_undone(first: Project, second: Project, step: int) -> None:
    """Every container of before is back, the very same; nothing of the change is left."""

    async def scenario() -> None:
        runtime = FakeRuntime.with_images("app", "other")
        await up(runtime, first)
        before = await observe(runtime, "demo", desired(second), limits=True)
        plan = plan_for(second, before, ATOMIC)
        required = [operation for operation in plan.operations if not operation.is_optional]
        if not required:
            return
        runtime.changes_left = step % len(required)
        outcome = await apply(plan, runtime, lambda event: None)
        runtime.changes_left = None
        if outcome.is_success:
            return
        result = await undo(runtime, before)
        assert result.is_success, [failure.error.message for failure in result.failed]
        now = await observe(runtime, "demo", desired(second), limits=True)
        assert essence(now) == essence(before), f"{plan}\n{outcome.failed}\n{runtime.calls[-60:]}"
        again = plan_undo(before, now)
        assert again.is_empty, str(again)

    asyncio.run(scenario())


@_SETTINGS
@given(projects(), projects())
def test_an_atomic_change_ends_where_any_other_does(first: Project, second: Project) -> None:
    async def scenario() -> None:
        runtime = FakeRuntime.with_images("app", "other")
        await up(runtime, first)
        _, outcome = await up(runtime, second, ATOMIC)
        assert outcome.is_success
        again = plan_for(
            second, await observe(runtime, "demo", desired(second)), UpOptions(remove_orphans=True)
        )
        assert again.is_empty, str(again)

    asyncio.run(scenario())


async def test_volumes_that_were_made_are_kept_and_told() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"a": service()}))
    before = await observe(runtime, "demo", limits=True)
    mount = ServiceVolume(type="volume", source="data", target="/data")
    runtime.failures["start_container demo-b-1"] = Internal("no")
    project = stack(
        {"a": service(), "b": service(volumes=(mount,))}, volumes={"data": Volume(name="demo_data")}
    )
    await up(runtime, project, ATOMIC)
    plan = plan_undo(before, await observe(runtime, "demo", limits=True))
    assert plan.warnings == ("volumes that were made are kept, as they may hold data: demo_data",)


async def test_what_is_gone_is_told() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"a": service()}))
    before = await observe(runtime, "demo", limits=True)
    await runtime.remove_container("demo-a-1", force=True)
    plan = plan_undo(before, await observe(runtime, "demo", limits=True))
    assert "cannot come back" in plan.warnings[0]
