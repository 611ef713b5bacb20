"""`x-stackr.restart_unhealthy` in plans: the label, changes in place, engines without it."""

from __future__ import annotations

from typing import Any

import pytest
from fake_runtime import FakeRuntime, image
from planning import plan_for, service, stack, up

from stackr.errors import NotSupported
from stackr.planner.commands.oneoff import OneOff, plan_one_off
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import CreateContainer, UpdateContainer
from stackr.runtime.types import Capabilities
from stackr.spec.model.project import Project
from stackr.spec.model.service import Healthcheck

LABEL = "io.stackr.restart_unhealthy"
ENGINE = Capabilities(restart_unhealthy=True, update_labels=True, listed_limits=True)


def web(asked: Any) -> Project:
    extensions = {} if asked is None else {"x-stackr": {"restart_unhealthy": asked}}
    check = Healthcheck(test=("CMD", "true"))
    return stack({"web": service(name="web", extensions=extensions, healthcheck=check)})


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        (None, None),
        (False, None),
        ("false", None),
        (True, "true"),
        ("yes", "true"),
        ({}, "true"),
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"max_attempts": "3", "delay": "1m30s"}, "max_attempts=3,delay=1m30s"),
        ({"window": "500ms", "delay": "0s"}, "delay=0s,window=500ms"),
    ],
)
def test_the_engine_is_told_by_a_label(asked: Any, label: str | None) -> None:
    plan = plan_for(web(asked), Observed("demo", engine=ENGINE))
    assert created(plan).config.labels.get(LABEL) == label


def created(plan: Plan) -> CreateContainer:
    (payload,) = (o.payload for o in plan.operations if isinstance(o.payload, CreateContainer))
    return payload


def test_a_one_off_is_not_restarted() -> None:
    observed, options = Observed("demo", engine=ENGINE), UpOptions()
    wanted = OneOff("web", slug="1")
    plan = plan_one_off(desired(web(True)), observed, wanted, options)
    assert LABEL not in created(plan).config.labels


def test_an_engine_that_does_not_do_it_is_told_apart() -> None:
    with pytest.raises(NotSupported, match=r"services\.web\.x-stackr\.restart_unhealthy: not supp"):
        plan_for(web(True), Observed("demo"))
    assert plan_for(web(False), Observed("demo")).operations


@pytest.mark.parametrize(
    ("before", "after", "labels"),
    [
        (None, True, "true"),
        (True, {"max_attempts": 3}, "max_attempts=3"),
        ({"delay": "1m"}, None, None),
    ],
)
async def test_a_change_is_made_in_place(before: Any, after: Any, labels: str | None) -> None:
    runtime = FakeRuntime(images={"app": image("app")}, capabilities=ENGINE)
    await up(runtime, web(before))
    plan = plan_for(web(after), await observe(runtime, "demo", desired(web(after))))
    (update,) = (o.payload for o in plan.operations)
    assert isinstance(update, UpdateContainer)
    assert update.labels is not None
    assert update.labels[LABEL] == labels
    (change,) = plan.changes
    assert all(field.path.startswith("x-stackr.restart_unhealthy") for field in change.fields)
    assert not any(field.forces_recreate for field in change.fields)
