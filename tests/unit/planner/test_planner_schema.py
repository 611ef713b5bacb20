"""The JSON Schema of plans: current, and true of plans with every kind of change and operation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from planning import needs, port, service, stack
from swarm_answers import answered

from stackr.planner.change.risk import RISKS
from stackr.planner.commands.lifecycle import (
    plan_down,
    plan_kill,
    plan_pause,
    plan_stop,
    plan_unpause,
)
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.commands.restarting import plan_restart
from stackr.planner.desired.image_build import PlannedBuild
from stackr.planner.desired.project import desired
from stackr.planner.images.building import plan_builds
from stackr.planner.images.pushing import plan_push
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import Action, Kind, Plan, RiskLevel, Source
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.planner.review.compare import compare, imagined
from stackr.planner.review.provenance import with_created_fields
from stackr.planner.review.schema import plan_schema
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime.image_build import ImageBuild
from stackr.runtime.types import Capabilities, NetworkFault
from stackr.runtime.workloads import Observation, WorkloadCapabilities
from stackr.spec.model.deploy import Deploy, UpdateConfig
from stackr.spec.model.mounts import FileGrant, ServiceVolume
from stackr.spec.model.network import Ipam, IpamPool, Network
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import Hook, InitStep
from stackr.spec.model.volume import Volume

ROOT = Path(__file__).parents[3]
_ENGINE = Capabilities(update_labels=True, update_lifts=True, handover=True)
_DATA = ServiceVolume(type="volume", source="data", target="/data")
_DANGERS: dict[str, Any] = {
    "ports": (port(80, "80"),),
    "privileged": True,
    "cap_add": ("NET_ADMIN",),
    "pid": "host",
    "use_api_socket": True,
    "image": "other",
    "volumes": (),
}


def project(**changes: Any) -> Project:
    """A stack with all that a plan can be about; `changes` are those of its services."""
    update = UpdateConfig(order="start-first", monitor=1, delay=1)
    hooks = (Hook(command=("true",)),)
    services = {
        "db": {"volumes": (_DATA,), "mem_limit": 1 << 26},
        "web": {
            "depends_on": needs("db", restart=True),
            "networks": {"default": None, "back": None},
        },
        "rolled": {"deploy": Deploy(update_config=update), "scale": 2},
        "hooked": {
            "pre_start": (InitStep(command=("true",)),),
            "post_start": hooks,
            "pre_stop": hooks,
        },
        **changes.pop("more", {}),
    }
    made = {name: {**each, **changes.pop(name, {})} for name, each in services.items()}
    pool = changes.pop("subnet", "10.9.0.0/24")
    back = Network(name="demo_back", ipam=Ipam(config=(IpamPool(subnet=pool),)))
    return stack(
        {name: service(**each) for name, each in made.items()},
        networks={"back": back},
        volumes={"data": Volume(name="demo_data")},
        extensions={"x-stackr": {"policy": {"privileged": "error"}}},
    )


def up_plans() -> Iterator[Plan]:
    """Of `diff` and `up --dry-run`: from nothing, and from a stack that is up to another one."""
    before = desired(project())
    yield reconcile(before, Observed("demo"), UpOptions(wait=True))
    yield with_created_fields(reconcile(before, Observed("demo")), before)
    yield compare(before, desired(project(db=_DANGERS)))
    seen = replace(imagined(before, before), engine=_ENGINE)
    for changes in (
        {"db": {"mem_limit": 1 << 27}},
        {"db": _DANGERS},
        {"db": {"command": ("x",)}, "rolled": {"command": ("x",)}, "hooked": {"command": ("x",)}},
        {"rolled": {"scale": 1}, "subnet": "10.10.0.0/24"},
        {"more": {"new": {"image": "app"}}},
    ):
        wanted = desired(project(**changes))
        yield reconcile(wanted, seen, UpOptions(remove_orphans=True))
        yield reconcile(wanted, seen, UpOptions(atomic=True))
    yield reconcile(replace(before, known_services=frozenset()), seen)
    elsewhere = desired(project(db=_DANGERS).model_copy(update={"working_dir": "/elsewhere"}))
    yield reconcile(elsewhere, seen)
    moved = replace(seen, moved={"app": "sha256:1"})
    yield reconcile(before, moved)
    ended = tuple(replace(each, state="exited", exit_code=1) for each in seen.containers)
    yield reconcile(before, replace(seen, containers=ended))
    paused = tuple(replace(each, state="paused") for each in seen.containers)
    yield reconcile(before, replace(seen, containers=paused))
    faults = {"demo_back": [NetworkFault("bridge", "missing", "sk-1")]}
    yield reconcile(before, replace(seen, faults=faults))


def other_plans() -> Iterator[Plan]:
    """Of the event `plan_started` of other commands."""
    seen = imagined(desired(project()), desired(project()))
    paused = tuple(replace(each, state="paused") for each in seen.containers)
    yield plan_stop(seen)
    yield plan_kill(seen)
    yield plan_restart(seen)
    yield plan_pause(seen)
    yield plan_unpause(replace(seen, containers=paused))
    yield plan_down(seen, DownOptions(volumes=True, images="all"))
    yield plan_push(desired(project()), seen, ("web",))
    build = ImageBuild(("demo-web",), "/demo")
    yield plan_builds(desired(project()), [PlannedBuild(build, "asked for", ("web",))])


def document_plans() -> Iterator[Plan]:
    """Of an engine that takes documents: from nothing, forced, to another stack, to none of it."""

    def rendered(token: str, label: str, env: str) -> Rendered:
        grant = (FileGrant(source="conf"),)
        services = {
            "web": service(configs=grant, secrets=grant, environment={"A": env}),
            "db": service(volumes=(_DATA,)),
        }
        conf = FileObject(name="demo_conf", content=token, labels={"l": label})
        made = stack(
            services, configs={"conf": conf}, secrets={"conf": conf}, volumes={"data": Volume()}
        )
        return Swarm().render(made, WorkloadCapabilities((1, 52), 3))

    first = rendered("a", "x", "1")
    there = answered(first.documents, "demo")
    yield reconcile_documents(first, Observation("demo"), Swarm(), UpOptions(wait=True))
    yield reconcile_documents(first, there, Swarm(), UpOptions(recreate="force"))
    for wanted in (rendered("a", "y", "2"), rendered("b", "x", "1")):
        yield reconcile_documents(wanted, there, Swarm())
    none = replace(first, documents=())
    yield reconcile_documents(none, there, Swarm(), UpOptions(remove_orphans=True))


PLANS = [*up_plans(), *other_plans(), *document_plans()]


def _closed(schema: Any) -> Any:
    """The schema, where no object may have more than its properties."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(each) for key, each in schema.items()}
    is_object = schema.get("type") == "object"
    return {**closed, "additionalProperties": False} if is_object else closed


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_is_as_the_schema_says(plan: Plan) -> None:
    jsonschema.Draft7Validator(_closed(plan_schema())).validate(plan.to_json())


def test_these_are_plans_of_every_kind() -> None:
    changes = [change for plan in PLANS for change in plan.changes]
    assert {each.action for plan in PLANS for each in plan.operations} == set(Action)
    assert {change.kind for change in changes} == set(Kind)
    assert {change.origin.value for change in changes} == {"file", "drift"}
    risks = [risk for plan in PLANS for risk in plan.risks]
    assert {risk.id for risk in risks} == set(RISKS)
    assert {risk.level for risk in risks} == set(RiskLevel)


def test_places_are_as_the_schema_says() -> None:
    plan = next(plan for plan in PLANS if plan.risks and plan.changes)
    place = Source("compose.yaml", 1, 2, "$X")
    placed = replace(
        plan,
        changes=tuple(replace(each, source=place) for each in plan.changes),
        risks=tuple(replace(each, source=place) for each in plan.risks),
    )
    jsonschema.Draft7Validator(_closed(plan_schema())).validate(placed.to_json())


@pytest.mark.parametrize(
    "spoil",
    [
        {"version": 2},
        {"project": None},
        {"changes": [{}]},
        {"summary": {"create": 0}},
        {"summary": {"explode": 1}},
        {"operations": [{"id": 1}]},
    ],
)
def test_what_is_no_plan_is_refused(spoil: dict[str, Any]) -> None:
    value = {**PLANS[0].to_json(), **spoil}
    assert not jsonschema.Draft7Validator(plan_schema()).is_valid(value)


def test_the_committed_schema_is_current() -> None:
    jsonschema.Draft7Validator.check_schema(plan_schema())
    text = (ROOT / "docs/schema/plan.json").read_text(encoding="utf-8")
    assert json.loads(text) == plan_schema()
