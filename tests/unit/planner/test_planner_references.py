"""References to other containers: what is stale, why, and in which order it is mended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_runtime import FakeRuntime
from planning import needs, plan_for, service, stack, up

from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Change, Kind, Origin, Plan
from stackr.planner.plan.options import UpOptions
from stackr.runtime.container import ContainerConfig
from stackr.spec.model.project import Project

GATE = "demo-gate-1"
SHARED: dict[str, dict[str, Any]] = {
    "network_mode": {"network_mode": "service:gate"},
    "ipc": {"ipc": "service:gate"},
    "pid": {"pid": "service:gate"},
    "volumes_from": {"volumes_from": ("gate:ro",)},
}
NAMESPACES = [path for path in SHARED if path != "volumes_from"]


def sharing(path: str) -> Project:
    return stack({"gate": service(), "web": service(depends_on=needs("gate"), **SHARED[path])})


async def running(project: Project) -> FakeRuntime:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    return runtime


async def look(runtime: FakeRuntime, project: Project) -> Observed:
    return await observe(runtime, "demo", desired(project), limits=True)


async def next_plan(runtime: FakeRuntime, project: Project, **options: Any) -> Plan:
    return plan_for(project, await look(runtime, project), UpOptions(**options))


def change_of(plan: Plan, name: str = "web") -> Change:
    return next(change for change in plan.changes if change.resource.service == name)


@pytest.mark.parametrize("path", SHARED)
async def test_a_container_recreated_alone_leaves_a_stale_reference(path: str) -> None:
    project = sharing(path)
    runtime = await running(project)
    await up(runtime, project, UpOptions(services=("gate",), recreate="force"))
    [change] = (await next_plan(runtime, project)).changes
    assert (change.resource.service, change.kind, change.origin) == (
        "web",
        Kind.RECREATE,
        Origin.DRIFT,
    )
    assert change.cause == '"gate" is another container now'
    [field] = change.fields
    assert (field.path, field.note) == (path, change.cause)
    assert field.old != field.new
    await up(runtime, project)
    assert (await next_plan(runtime, project)).is_empty


@pytest.mark.parametrize("path", SHARED)
async def test_a_container_that_was_removed_leaves_a_stale_reference(path: str) -> None:
    project = sharing(path)
    runtime = await running(project)
    await runtime.remove_container(GATE, force=True)
    change = change_of(await next_plan(runtime, project))
    assert (change.kind, change.fields[0].path) == (Kind.RECREATE, path)
    await up(runtime, project)
    assert (await next_plan(runtime, project)).is_empty


@pytest.mark.parametrize("path", NAMESPACES)
async def test_who_is_left_in_a_namespace_starts_anew(path: str) -> None:
    project = sharing(path)
    runtime = await running(project)
    await runtime.restart_container(GATE)
    plan = await next_plan(runtime, project)
    [change] = plan.changes
    assert (change.kind, change.origin) == (Kind.RESTART, Origin.DRIFT)
    assert change.cause == '"gate" has restarted since: its namespace is gone'
    await up(runtime, project)
    assert (await next_plan(runtime, project)).is_empty


async def test_volumes_outlive_a_restart() -> None:
    project = sharing("volumes_from")
    runtime = await running(project)
    await runtime.restart_container(GATE)
    assert (await next_plan(runtime, project)).is_empty


async def test_what_the_engine_tells_counts_more_than_the_clock() -> None:
    project = sharing("network_mode")
    runtime = await running(project)
    web = next(c for c in runtime.containers.values() if c.name == "demo-web-1")
    runtime.containers[web.id] = replace(web, severed=True)
    assert change_of(await next_plan(runtime, project)).kind is Kind.RESTART
    runtime.containers[web.id] = replace(web, started_at=0.5, severed=False)
    assert (await next_plan(runtime, project)).is_empty


async def test_restarts_lead_to_restarts_in_order() -> None:
    """Three deep: the last one stops first, and starts last."""
    project = stack(
        {
            "gate": service(),
            "web": service(network_mode="service:gate", depends_on=needs("gate")),
            "side": service(ipc="service:web", depends_on=needs("web")),
        }
    )
    runtime = await running(project)
    await runtime.stop_container(GATE)
    plan = await next_plan(runtime, project)
    assert {c.resource.service: c.kind for c in plan.changes} == {
        "gate": Kind.START,
        "web": Kind.RESTART,
        "side": Kind.RESTART,
    }
    steps = [f"{o.action.value} {o.resource.service}" for o in plan.operations]
    assert [step for step in steps if step.startswith("stop")] == [
        "stop container side",
        "stop container web",
    ]
    assert steps[-3:] == [f"start container {name}" for name in ("gate", "web", "side")]


async def test_nothing_is_restarted_where_nothing_is_started() -> None:
    project = sharing("network_mode")
    runtime = await running(project)
    await runtime.stop_container(GATE)
    assert (await next_plan(runtime, project, start=False)).is_empty


async def test_what_exists_is_kept_where_that_is_asked() -> None:
    project = sharing("ipc")
    runtime = await running(project)
    await up(runtime, project, UpOptions(services=("gate",), recreate="force"))
    assert (await next_plan(runtime, project, recreate="never")).is_empty


async def test_a_scaled_down_replica_takes_its_reference_along() -> None:
    project = stack(
        {
            "gate": service(scale=2),
            "web": service(network_mode="service:gate", depends_on=needs("gate")),
        }
    )
    runtime = await running(project)
    assert (await next_plan(runtime, project, scale={"gate": 1})).changes[0].kind is Kind.REMOVE
    await runtime.remove_container(GATE, force=True)
    assert change_of(await next_plan(runtime, project, scale={"gate": 1})).kind is Kind.RECREATE
    await up(runtime, project, UpOptions(scale={"gate": 1}))
    assert (await next_plan(runtime, project, scale={"gate": 1})).is_empty


class TestContainersByName:
    """`container:NAME`, which no service of the stack is."""

    project = stack({"web": service(network_mode="container:outside")})

    async def outside(self) -> FakeRuntime:
        runtime = FakeRuntime.with_images("app")
        await runtime.create_container("outside", ContainerConfig(image="app"))
        await runtime.start_container("outside")
        await up(runtime, self.project)
        return runtime

    async def test_another_container_of_the_name(self) -> None:
        runtime = await self.outside()
        assert (await next_plan(runtime, self.project)).is_empty
        await runtime.remove_container("outside", force=True)
        plan = await next_plan(runtime, self.project)
        assert plan.is_empty
        [warning] = plan.warnings
        assert warning == 'service "web": network_mode: container outside is not there'
        await runtime.create_container("outside", ContainerConfig(image="app"))
        assert change_of(await next_plan(runtime, self.project)).kind is Kind.RECREATE

    async def test_it_restarts_and_stops(self) -> None:
        runtime = await self.outside()
        await runtime.restart_container("outside")
        assert change_of(await next_plan(runtime, self.project)).kind is Kind.RESTART
        await runtime.stop_container("outside")
        plan = await next_plan(runtime, self.project)
        assert plan.is_empty
        assert "which does not run" in plan.warnings[0]

    async def test_a_name_of_the_stack_is_a_reference_to_its_service(self) -> None:
        project = stack(
            {
                "web": service(network_mode="container:front"),
                "zgate": service(container_name="front"),
            }
        )
        runtime = await running(project)
        after = project.model_copy(
            update={
                "services": {
                    **project.services,
                    "zgate": project.services["zgate"].model_copy(update={"user": "1"}),
                }
            }
        )
        plan, outcome = await up(runtime, after)
        assert outcome.is_success
        assert change_of(plan).touched_by == ("zgate",)
        assert (await next_plan(runtime, after)).is_empty
