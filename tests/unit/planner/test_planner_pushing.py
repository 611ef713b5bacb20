"""Which images `stackr push` pushes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_runtime import image
from planning import service, stack

from stackr.planner.desired.project import desired
from stackr.planner.images.pushing import not_pushed, plan_push
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import PushImage
from stackr.spec.model.build import Build

HERE = image("r.test/app:1")
NAMES = {"app": "r.test/app:1"}


def plan(*digests: str, named: tuple[str, ...] = (), **settings: object) -> Plan:
    """Of one service, whose image is here with these digests."""
    project = stack({"app": service(image="r.test/app:1", **settings)})
    images = {"r.test/app:1": replace(HERE, digests=digests)} if digests else {}
    wanted = desired(project, UpOptions())
    made = plan_push(wanted, Observed(project.name, images=images), named)
    assert not_pushed(wanted, made) == ([] if made.operations else ["app"])
    return made


def pushed(made: Plan) -> list[str]:
    return [o.payload.reference for o in made.operations if isinstance(o.payload, PushImage)]


@pytest.mark.parametrize("digest", ["r.test/base@sha256:0", "app@sha256:0", "r.test/app2@sha256:0"])
def test_what_came_from_elsewhere_is_pushed(digest: str) -> None:
    assert pushed(plan(digest)) == ["r.test/app:1"]


def test_what_came_from_its_registry_is_left_out_unless_named() -> None:
    assert pushed(plan("r.test/base@sha256:0", "r.test/app@sha256:0")) == []
    assert pushed(plan("r.test/app@sha256:0", named=("app",))) == ["r.test/app:1"]


def test_what_is_not_here_is_left_out_unless_named() -> None:
    assert pushed(plan()) == []
    assert pushed(plan(named=("app",))) == ["r.test/app:1"]


def test_what_is_built_is_pushed_under_all_its_names() -> None:
    made = plan("r.test/app@sha256:0", build=Build(context=".", tags=("r.test/app:2",)))
    assert pushed(made) == ["r.test/app:1", "r.test/app:2"]


def test_an_image_of_two_services_is_pushed_once() -> None:
    project = stack({"a": service(image="r.test/app:1"), "b": service(image="r.test/app:1")})
    made = plan_push(desired(project, UpOptions()), Observed(project.name), ("a", "b"))
    [operation] = made.operations
    assert operation.payload == PushImage("r.test/app:1", ("a", "b"))
    assert str(operation.resource) == "image:r.test/app:1"
