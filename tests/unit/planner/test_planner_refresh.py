"""When images are pulled again, and what a plan tells of those that their registry has anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_runtime import FakeRuntime, image
from planning import service, stack, up

from stackr.errors import Conflict, InvalidArgument, Unavailable
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.project import desired
from stackr.planner.images.refresh import ask_registries, plan_refresh, repository_of
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.saved import as_approved
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.project import Project

_HOUR = 3600.0
_OLD, _NEW = image("app:1"), image("app:1", content="new")


def digest(state: Any) -> str:
    return str(state.digests[0].partition("@")[2])


@pytest.mark.parametrize(
    ("policy", "hours", "is_due"),
    [
        ("always", 0, True),
        ("missing", 1000, False),
        ("if_not_present", 1000, False),
        ("never", 1000, False),
        ("daily", 23, False),
        ("daily", 25, True),
        ("weekly", 7 * 24 - 1, False),
        ("weekly", 7 * 24 + 1, True),
        ("every_2d", 47, False),
        ("every_2d", 49, True),
        ("every_1h30m", 1, False),
        ("every_1h30m", 2, True),
    ],
)
def test_when_a_pull_is_due(policy: str, hours: int, is_due: bool) -> None:
    wanted = desired(stack({"web": service(image="app:1", pull_policy=policy)}))
    here = {"app:1": replace(_OLD, tagged=1000.0)}
    plan = plan_refresh(wanted, Observed("demo", images=here, at=1000.0 + hours * _HOUR))
    assert [change.cause for change in plan.changes] == (
        [f"pull policy is {policy}"] if is_due else []
    )


def test_what_is_not_here_is_pulled_with_the_rest() -> None:
    wanted = desired(stack({"web": service(image="app:1", pull_policy="daily")}))
    assert plan_refresh(wanted, Observed("demo", at=1e9)).is_empty
    assert "pull image: not found" in str(reconcile(wanted, Observed("demo")))


def test_what_is_no_duration_is_refused() -> None:
    wanted = desired(stack({"web": service(pull_policy="every_1x")}))
    with pytest.raises(InvalidArgument, match=r"services\.web\.pull_policy: every_1x: .*unit"):
        plan_refresh(wanted, Observed("demo"))


def project(**attributes: Any) -> Project:
    return stack({"web": service(image="app:1", **attributes)})


async def running(**attributes: Any) -> tuple[FakeRuntime, Project]:
    """The stack is up, and then the registry has another image."""
    fake = FakeRuntime(images={"app:1": _OLD, "app": image("app")}, registry={"app:1": _NEW})
    made = project(**attributes)
    await up(fake, made)
    return fake, made


async def foreseen(
    fake: FakeRuntime, made: Project, options: UpOptions | None = None
) -> tuple[Plan, Observed]:
    options = options or UpOptions()
    wanted = desired(made, options)
    observed = await observe(fake, "demo", wanted)
    observed = await ask_registries(fake, wanted, observed, options)
    return reconcile(wanted, observed, options), observed


async def test_an_image_that_moved_is_told_and_not_pulled() -> None:
    fake, made = await running(pull_policy="always")
    fake.calls.clear()
    plan, _ = await foreseen(fake, made)
    assert {call.partition(" ")[0] for call in fake.calls} <= {
        *("list_containers", "list_networks", "list_volumes", "inspect_image", "resolve_image")
    }
    pull, recreate = plan.changes
    assert (pull.kind.value, pull.cause) == ("pull", "its registry has another one")
    [field] = recreate.fields
    assert (field.path, field.old, field.new) == ("image", digest(_OLD), digest(_NEW))
    assert (recreate.kind.value, recreate.origin.value) == ("recreate", "drift")
    create = next(each for each in plan.operations if "create" in each.action.value)
    assert plan.operations[create.depends_on[0] - 1].action.value == "pull image"


async def test_registries_are_asked_only_for_what_is_due() -> None:
    for attributes in ({}, {"pull_policy": "missing"}, {"pull_policy": "never"}):
        fake, made = await running(**attributes)
        assert (await foreseen(fake, made))[0].is_empty
        assert not [call for call in fake.calls if call.startswith("resolve_image")]
    fake, made = await running()
    plan, _ = await foreseen(fake, made, UpOptions(pull="always"))
    assert plan.summary == {"recreate": 1, "pull": 1}


async def test_what_has_not_moved_changes_nothing() -> None:
    fake, made = await running(pull_policy="always")
    fake.registry["app:1"] = _OLD
    assert (await foreseen(fake, made))[0].is_empty


async def test_what_the_engine_has_already_needs_no_pull() -> None:
    fake, made = await running(pull_policy="always")
    fake.images["other:1"] = _NEW
    plan, _ = await foreseen(fake, made)
    assert plan.summary == {"recreate": 1}
    assert (plan.changes[0].fields[0].old, plan.changes[0].fields[0].new) == (_OLD.id, _NEW.id)


async def test_it_is_pulled_also_where_nothing_is_recreated() -> None:
    fake, made = await running(pull_policy="always")
    plan, _ = await foreseen(fake, made, UpOptions(recreate="never"))
    assert plan.summary == {"pull": 1}


async def test_a_mounted_image_that_moved() -> None:
    volume = ServiceVolume(type="image", source="app:1", target="/d")
    made = stack({"web": service(image="app", volumes=(volume,), pull_policy="always")})
    fake = FakeRuntime(
        images={"app:1": _OLD, "app": image("app")},
        registry={"app:1": _NEW, "app": image("app")},
    )
    await up(fake, made)
    plan, _ = await foreseen(fake, made)
    assert [field.path for field in plan.changes[-1].fields] == ["volumes./d"]


async def test_a_registry_that_does_not_answer_is_named() -> None:
    fake, made = await running(pull_policy="always")
    fake.failures["resolve_image"] = Unavailable("connection refused")
    with pytest.raises(Unavailable, match="image app:1: cannot ask its registry: connection") as it:
        await foreseen(fake, made)
    assert "--pull missing" in (it.value.hint or "")


async def test_what_was_pulled_is_what_was_approved() -> None:
    fake, made = await running(pull_policy="always")
    _, approved = await foreseen(fake, made)
    after = replace(approved, images={"app:1": _NEW}, moved={})
    assert as_approved(approved, after) == approved
    for other in (_OLD, image("app:1", content="newest")):
        with pytest.raises(Conflict, match="image app:1 changed while it was pulled"):
            as_approved(approved, replace(after, images={"app:1": other}))


@pytest.mark.parametrize(
    ("image", "repository"),
    [("app", "app"), ("app:1", "app"), ("host:5000/app", "host:5000/app"), ("h:5/a:1", "h:5/a")],
)
def test_repository(image: str, repository: str) -> None:
    assert repository_of(image) == repository
