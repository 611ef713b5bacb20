"""The executor on an engine in memory: how much at once, what a failure skips, cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_runtime import Behaviour, FakeRuntime, image
from planning import Recorder, needs, plan_for, service, stack, up

from stackr.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from stackr.executor.apply import apply
from stackr.executor.events import (
    OperationFailed,
    OperationFinished,
    OperationProgress,
    OperationSkipped,
    OperationStarted,
    PlanFinished,
    PlanStarted,
)
from stackr.executor.outcome import Outcome
from stackr.executor.walk import Limits
from stackr.planner.commands.lifecycle import plan_down
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.runtime import labels
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import Healthcheck

MANY = stack({f"s{number:02}": service() for number in range(20)})


def names(operations: list[Any]) -> list[str]:
    return sorted(
        f"{o.action.value} {o.resource.name}"
        for o in (getattr(item, "operation", item) for item in operations)
    )


async def test_independent_operations_run_at_once() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.delays_s = {"create_container": 0.01, "start_container": 0.01}
    _, outcome = await up(runtime, MANY)
    assert outcome.is_success
    assert runtime.most_in_flight == 20


async def test_calls_in_flight_are_bounded() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.delays_s = {"create_container": 0.002}
    _, outcome = await up(runtime, MANY, limits=Limits(in_flight=3))
    assert outcome.is_success
    assert runtime.most_in_flight == 4  # the snapshot's four calls


async def test_waits_do_not_take_a_place() -> None:
    """With one call at a time, a wait must not keep what it waits for from starting."""
    project = stack(
        {
            "web": service(depends_on=needs("db", condition="service_healthy")),
            "db": service(healthcheck=Healthcheck(test=("CMD", "true"))),
        }
    )
    runtime = FakeRuntime.with_images(
        "app", behaviours={"db": Behaviour(health=("starting", "starting", "healthy"))}
    )
    _, outcome = await up(runtime, project, limits=Limits(in_flight=1))
    assert outcome.is_success


async def test_a_chain_starts_in_order() -> None:
    project = stack(
        {
            "c": service(depends_on=needs("b")),
            "b": service(depends_on=needs("a")),
            "a": service(),
        }
    )
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    starts = [call for call in runtime.calls if call.startswith("start_container")]
    assert starts == [f"start_container demo-{name}-1" for name in "abc"]


async def test_failure_skips_dependants_and_nothing_else() -> None:
    project = stack(
        {
            "web": service(depends_on=needs("db")),
            "proxy": service(depends_on=needs("web")),
            "db": service(),
            "other": service(),
        }
    )
    runtime = FakeRuntime.with_images("app")
    runtime.failures["start_container demo-db-1"] = Conflict("port 80 is already allocated")
    sink = Recorder()
    _, outcome = await up(runtime, project, sink=sink)
    assert not outcome.is_success
    assert names(outcome.failed) == ["start container demo-db-1"]
    assert names(outcome.skipped) == ["start container demo-proxy-1", "start container demo-web-1"]
    assert all(names(list(each.because)) == names(outcome.failed) for each in outcome.skipped)
    assert runtime._find("demo-other-1").is_running
    assert sink.names(OperationFailed) == ["start container demo-db-1"]
    assert len(sink.names(OperationSkipped)) == 2


async def test_failed_creation_leaves_the_old_container_running() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service()}))
    before = runtime._find("demo-web-1").id
    runtime.failures["create_container"] = InvalidArgument("invalid mount")
    _, outcome = await up(runtime, stack({"web": service(user="1")}))
    assert not outcome.is_success
    assert runtime._find("demo-web-1").id == before
    assert runtime._find("demo-web-1").is_running


async def test_optional_dependency_that_fails_skips_nothing() -> None:
    project = stack({"web": service(depends_on=needs("db", required=False)), "db": service()})
    runtime = FakeRuntime.with_images("app")
    runtime.failures["start_container demo-db-1"] = Conflict("no")
    _, outcome = await up(runtime, project)
    assert runtime._find("demo-web-1").is_running
    assert names(outcome.failed) == ["start container demo-db-1"]


async def test_optional_dependency_that_is_unhealthy_is_told_and_no_failure() -> None:
    project = stack(
        {
            "web": service(depends_on=needs("db", required=False, condition="service_healthy")),
            "db": service(),
        }
    )
    runtime = FakeRuntime.with_images("app", behaviours={"db": Behaviour(health=("unhealthy",))})
    _, outcome = await up(runtime, project)
    assert runtime._find("demo-web-1").is_running
    assert names(outcome.failed) == ["wait for demo-db-1"]
    assert outcome.is_success


async def test_events_come_in_order() -> None:
    runtime = FakeRuntime(registry={"app": image("app")})
    sink = Recorder()
    await up(runtime, stack({"web": service()}), sink=sink)
    assert isinstance(sink.events[0], PlanStarted)
    last = sink.events[-1]
    assert isinstance(last, PlanFinished)
    assert (last.done, last.failed, last.skipped, last.cancelled) == (4, 0, 0, 0)
    assert sink.names(OperationStarted) == sink.names(OperationFinished) or sorted(
        sink.names(OperationStarted)
    ) == sorted(sink.names(OperationFinished))
    progress = [event for event in sink.events if isinstance(event, OperationProgress)]
    assert [(p.text, p.layer, p.current, p.total) for p in progress] == [
        ("Downloading", "layer", 1, 2),
        ("Pull complete", "layer", 0, 0),
    ]


async def test_missing_image_names_image_and_services() -> None:
    project = stack({"web": service(), "api": service()})
    _, outcome = await up(FakeRuntime(), project)
    error = outcome.failed[0].error
    assert isinstance(error, NotFound)
    assert error.message == (
        'services "api", "web": image app: manifest for app not found: manifest unknown'
    )
    assert len(outcome.failed) == 1


async def test_wrong_credentials_keep_their_class_and_hint() -> None:
    runtime = FakeRuntime()
    runtime.failures["pull_image"] = Unauthorized("unauthorized", hint="log in")
    _, outcome = await up(runtime, stack({"web": service()}))
    error = outcome.failed[0].error
    assert isinstance(error, Unauthorized)
    assert error.hint == "log in"


async def test_pulled_image_is_in_the_containers_label() -> None:
    runtime = FakeRuntime(registry={"app": image("app")})
    await up(runtime, stack({"web": service(), "api": service()}))
    state = runtime._find("demo-web-1")
    assert state.labels[labels.IMAGE] == runtime.images["app"].id
    assert runtime.calls.count("inspect_image app") == 2  # the snapshot's, and one for both


async def test_operating_system_errors_are_failures() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.failures["create_network"] = OSError(28, "No space left on device")  # type: ignore[assignment]
    _, outcome = await up(runtime, stack({"web": service()}))
    assert "No space left on device" in outcome.failed[0].error.message


async def test_defects_are_not_hidden() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.failures["create_network"] = ZeroDivisionError()  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        await up(runtime, stack({"web": service()}))


async def test_removal_of_what_is_gone_is_no_failure() -> None:
    from stackr.planner.commands.lifecycle import plan_down
    from stackr.planner.observe.observed import observe

    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service()}))
    observed = await observe(runtime, "demo")
    await runtime.remove_container("demo-web-1", force=True)
    runtime.networks.clear()
    outcome = await apply(plan_down(observed), runtime, Recorder())
    assert outcome.is_success


async def test_empty_plan() -> None:
    outcome = await apply(Plan("demo"), FakeRuntime(), Recorder())
    assert outcome.is_success


async def cancelled(
    runtime: FakeRuntime, project: Project, when: str, *, grace_s: float = 60
) -> tuple[Outcome, Recorder]:
    """Cancel a run once a call that starts with `when` has begun."""
    plan = plan_for(project, Observed("demo", images=runtime.images))
    outcome, sink = Outcome(plan), Recorder()
    run = asyncio.create_task(
        apply(plan, runtime, sink, limits=Limits(grace_s=grace_s), outcome=outcome)
    )
    while not any(call.startswith(when) for call in runtime.calls):
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    return outcome, sink


async def test_cancelled_run_lets_short_calls_end() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.delays_s = {"create_container": 0.02}
    outcome, sink = await cancelled(runtime, stack({"web": service()}), "create_container")
    assert names(outcome.done) == ["create container demo-web-1", "create network demo_default"]
    assert names(outcome.cancelled) == ["start container demo-web-1"]
    assert runtime._find("demo-web-1").state == "created"
    last = sink.events[-1]
    assert isinstance(last, PlanFinished)
    assert (last.done, last.cancelled) == (2, 1)


async def test_cancelled_run_gives_up_pulls_and_waits_at_once() -> None:
    runtime = FakeRuntime(registry={"app": image("app")})
    runtime.delays_s = {"pull_image": 60}
    outcome, _ = await cancelled(runtime, stack({"web": service()}), "pull_image")
    assert "pull image app" in names(outcome.cancelled)


async def test_cancelled_run_gives_up_after_its_grace() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.delays_s = {"create_container": 60}
    outcome, _ = await cancelled(
        runtime, stack({"web": service()}), "create_container", grace_s=0.01
    )
    assert "create container demo-web-1" in names(outcome.cancelled)


async def test_next_up_completes_a_cancelled_one() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.delays_s = {"start_container": 0.01}
    await cancelled(runtime, MANY, "start_container")
    _, outcome = await up(runtime, MANY)
    assert outcome.is_success
    assert all(container.is_running for container in runtime.containers.values())


async def test_content_of_a_secret_reaches_the_container_and_no_plan() -> None:
    from stackr.spec.model.mounts import FileGrant

    project = stack(
        {"web": service(secrets=(FileGrant(source="key", mode=0o400, uid="7"),))},
        secrets={"key": FileObject(name="demo_key", content="hush-hush")},
    )
    runtime = FakeRuntime.with_images("app")
    plan, _ = await up(runtime, project)
    [file] = runtime.files[runtime._find("demo-web-1").id]
    assert (file.path, file.content, file.mode, file.uid) == (
        "/run/secrets/key",
        b"hush-hush",
        0o400,
        7,
    )
    assert "hush-hush" not in str(plan.to_json())
    assert "hush-hush" not in str(runtime._find("demo-web-1").labels)


async def test_wait_timeout_names_what_it_saw() -> None:
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images(
        "app",
        behaviours={"web": Behaviour(health=("starting",), health_output="connection refused")},
    )
    _, outcome = await up(runtime, project, UpOptions(wait=True, wait_timeout_s=0.02))
    assert outcome.failed[0].error.message == (
        "container demo-web-1 is not running or healthy after 0.02 s: it is starting"
    )


async def test_a_container_that_removes_itself_is_waited_for() -> None:
    runtime = _SelfRemoving.with_images("app")
    await up(runtime, stack({"web": service()}))
    plan = plan_down(await observe(runtime, "demo"))
    outcome = await apply(plan, runtime, lambda event: None)
    assert outcome.is_success
    assert runtime.waited == ["removed"]


class _SelfRemoving(FakeRuntime):
    waited: list[str]

    async def remove_container(
        self, ref: str, *, force: bool = False, volumes: bool = False
    ) -> None:
        self.waited = []
        raise Conflict(f"removal of container {ref} is already in progress")

    async def wait_container(self, ref: str, condition: str = "not-running") -> int:
        self.waited.append(condition)
        await super().remove_container(ref, force=True)
        raise NotFound(f"no such container: {ref}")
