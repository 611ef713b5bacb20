"""Two versions of a stack file: the plan between them, without an engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from planner_strategies import projects
from planning import needs, service, stack

from stackr.planner.desired.project import desired
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.compare import compare, moved
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Network
from stackr.spec.model.project import Project


def difference(base: Project, changed: Project) -> Plan:
    return compare(desired(base), desired(changed))


def told(plan: Plan) -> list[str]:
    return [f"{c.resource.name} {c.kind.value}: {c.cause}" for c in plan.changes]


def test_services_that_come_go_and_change() -> None:
    base = stack({"a": service(), "b": service(), "gone": service()})
    changed = stack({"a": service(), "b": service(user="root"), "new": service()})
    plan = difference(base, changed)
    assert told(plan) == [
        "demo-b-1 recreate: user changed",
        "demo-new-1 create: new",
        "demo-gone-1 orphan: stays; --remove-orphans removes it",
    ]
    assert plan.warnings == ()
    removed = compare(desired(base), desired(changed), UpOptions(remove_orphans=True))
    assert told(removed)[-1] == ("demo-gone-1 remove: its service is no longer in the stack file")
    assert plan.operations == ()
    assert plan.unchanged == 2


def test_a_change_cascades_as_in_up() -> None:
    web = service(depends_on=needs("db", restart=True))
    base = stack({"web": web, "db": service()})
    plan = difference(base, stack({"web": web, "db": service(user="x")}))
    assert told(plan) == [
        "demo-db-1 recreate: user changed",
        'demo-web-1 restart: "db" is recreated',
    ]


def test_what_is_external_is_taken_to_be_there() -> None:
    networks = {"out": Network(name="out", external=True)}
    changed = stack({"a": service(networks={"out": None})}, networks=networks)
    assert told(difference(stack({}), changed))[-1] == "demo-a-1 create: new"


def test_another_name_is_another_stack() -> None:
    base = stack({"a": service()})
    plan = difference(base, base.model_copy(update={"name": "other"}))
    assert told(plan)[-1] == "other-a-1 create: new"
    assert "the project's name changes" in plan.warnings[0]


@pytest.mark.parametrize("folder", ["/demo", "/elsewhere"])
def test_a_folder_that_was_moved_changes_nothing(folder: str) -> None:
    def of(place: str) -> Project:
        mount = ServiceVolume(type="bind", source=f"{place}/x", target="/x")
        return stack({"a": service(volumes=(mount,), labels={"l": place})})

    base = moved(desired(of(folder)), folder, "/demo")
    assert compare(base, desired(of("/demo"))).changes == ()


@given(projects())
def test_a_file_does_not_differ_from_itself(project: Project) -> None:
    assert difference(project, project).changes == ()
