"""What a plan says of who is away, for how long in the order, and what forces it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import FakeRuntime
from planning import needs, plan_for, service, stack, up

from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Change, Kind, Origin, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.outlook import Affected, Rollout, order_text
from stackr.planner.review.compare import imagined
from stackr.planner.review.provenance import with_created_fields
from stackr.runtime import labels
from stackr.runtime.types import Capabilities
from stackr.spec.load import load
from stackr.spec.model.deploy import Deploy, UpdateConfig
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Ipam, IpamPool, Network
from stackr.spec.model.project import Project
from stackr.spec.model.volume import Volume
from stackr.spec.render import service_hash
from stackr.spec.session import LoadOptions


def seen(project: Project) -> Observed:
    """What an engine of stackr has where this is up."""
    return imagined(desired(project), desired(project))


def change_of(plan: Plan, name: str) -> Change:
    return next(change for change in plan.changes if change.resource.name == name)


def test_only_what_forces_a_recreation_says_so() -> None:
    before = stack({"web": service(mem_limit=1 << 26, command=("v1",))})
    after = stack({"web": service(mem_limit=1 << 27, command=("v2",))})
    change = change_of(plan_for(after, seen(before)), "demo-web-1")
    assert change.cause == "command changed"
    assert {field.path: field.forces_recreate for field in change.fields} == {
        "command": True,
        "mem_limit": False,
    }
    docker = replace(seen(before), engine=Capabilities())
    change = change_of(plan_for(after, docker), "demo-web-1")
    assert all(field.forces_recreate for field in change.fields)


def test_a_value_of_what_is_new_forces_nothing() -> None:
    project = stack({"web": service(command=("v1",))})
    plan = plan_for(project, Observed("demo"))
    shown = with_created_fields(plan, desired(project))
    assert not any(field.forces_recreate for change in shown.changes for field in change.fields)


def test_the_outline_of_a_new_container() -> None:
    mounts = (
        ServiceVolume(type="volume", source="data", target="/data"),
        ServiceVolume(type="bind", source="/etc/app", target="/conf", read_only=True),
    )
    project = stack({"web": service(volumes=mounts)}, volumes={"data": Volume(name="d")})
    plan = with_created_fields(plan_for(project, Observed("demo")), desired(project), detail=False)
    fields = {each.path: each.new for each in change_of(plan, "demo-web-1").fields}
    assert fields == {"image": "app", "volumes": ["/etc/app:/conf:ro", "data:/data"]}


def rolling(**attributes: Any) -> Deploy:
    return Deploy(replicas=3, update_config=UpdateConfig(**attributes))


@pytest.mark.parametrize(
    ("deploy", "expected", "text"),
    [
        (None, Rollout("stop-first"), "stop-first"),
        (Deploy(replicas=3), Rollout("stop-first", 3), "×3, stop-first, all at once"),
        (
            rolling(order="start-first"),
            Rollout("start-first", 3, 1, is_rolling=True, away="no"),
            "×3, rolling, start-first, 1 at a time",
        ),
        (
            rolling(parallelism=2),
            Rollout("stop-first", 3, 2, is_rolling=True, away="partly"),
            "×3, rolling, stop-first, 2 at a time",
        ),
        (
            rolling(parallelism=0),
            Rollout("stop-first", 3, 0, is_rolling=True, away="yes"),
            "×3, rolling, stop-first, all at once",
        ),
    ],
)
def test_who_is_away(deploy: Deploy | None, expected: Rollout, text: str) -> None:
    before = stack({"web": service(deploy=deploy)})
    after = stack({"web": service(deploy=deploy, user="root")})
    change = change_of(plan_for(after, seen(before)), "demo-web-1")
    assert change.rollout == expected
    assert str(change.rollout) == text


def test_what_does_not_run_is_not_away() -> None:
    before, after = stack({"web": service()}), stack({"web": service(user="root")})
    ended = tuple(replace(each, state="exited") for each in seen(before).containers)
    plan = plan_for(after, replace(seen(before), containers=ended))
    assert change_of(plan, "demo-web-1").rollout is None


def test_the_order() -> None:
    services = {"web": service(depends_on=needs("api")), "api": service(depends_on=needs("db"))}
    before = stack({**services, "db": service(), "other": service()})
    assert order_text(plan_for(before, Observed("demo")).order) == (
        "start db, other, then api, then web"
    )
    restarting = service(depends_on=needs("db", restart=True))
    before = stack({"api": restarting, "db": service()})
    after = stack({"api": restarting, "db": service(user="root")})
    order = plan_for(after, seen(before)).order
    assert order_text(order) == "stop api, then db; start db, then api"


def test_an_order_of_many_names_the_first() -> None:
    many = stack({f"s{number}": service() for number in range(9)})
    order = plan_for(many, Observed("demo")).order
    assert order_text(order) == "start s0, s1, s2 and 6 more"


def subnet(text: str) -> dict[str, Network]:
    pool = IpamPool(subnet=text)
    return {"default": Network(name="demo_default", ipam=Ipam(config=(pool,)))}


def test_a_network_that_is_made_anew_names_whom_it_cuts_off() -> None:
    data = ServiceVolume(type="volume", source="data", target="/data")
    services = {"db": service(volumes=(data,)), "web": service(), "side": service()}
    volumes = {"data": Volume(name="d")}
    before = stack(services, networks=subnet("10.1.0.0/24"), volumes=volumes)
    services["web"] = service(user="root")
    after = stack(services, networks=subnet("10.2.0.0/24"), volumes=volumes)
    plan = plan_for(after, seen(before), UpOptions(services=("db", "web")))
    assert change_of(plan, "demo_default").affects == (
        Affected("demo-db-1", "restarted"),
        Affected("demo-side-1", "cut off"),
        Affected("demo-web-1", "recreated"),
    )
    assert {risk.id: risk.message for risk in plan.risks} == {
        "dependants-restarted": "network demo_default is created again: cut off: demo-side-1; "
        "recreated: demo-web-1; restarted: demo-db-1",
        "stateful-recreated": 'service "db" keeps data and restarts',
    }


def test_what_changes_in_place_and_restarts_tells_its_fields_once() -> None:
    services = {"db": service(), "web": service(mem_limit=1 << 26)}
    before = stack(services, networks=subnet("10.1.0.0/24"))
    services["web"] = service(mem_limit=1 << 27)
    after = stack(services, networks=subnet("10.2.0.0/24"))
    changes = [each for each in plan_for(after, seen(before)).changes if each.resource.number]
    assert [
        (each.resource.name, each.kind, [field.path for field in each.fields]) for each in changes
    ] == [
        ("demo-db-1", Kind.RESTART, []),
        ("demo-web-1", Kind.UPDATE, ["mem_limit"]),
        ("demo-web-1", Kind.RESTART, []),
    ]


async def test_another_name_is_a_change() -> None:
    runtime = FakeRuntime.with_images("app")
    project = stack({"web": service(), "db": service()})
    await up(runtime, project)
    observed = await observe(runtime, "demo", desired(project))
    first, *rest = observed.containers
    plan = plan_for(project, replace(observed, containers=(replace(first, name="my-db"), *rest)))
    [change] = plan.changes
    assert (change.resource.name, change.kind, change.origin) == (
        "demo-db-1",
        Kind.UPDATE,
        Origin.DRIFT,
    )
    assert change.cause == "it is called my-db"
    assert [(f.path, f.old, f.new) for f in change.fields] == [("name", "my-db", "demo-db-1")]
    assert [operation.action.value for operation in plan.operations] == ["rename container"]


def test_what_docker_compose_made_is_taken_over(tmp_path: Path) -> None:
    """By its hash of the service; where that is another one, the container is made anew."""
    (tmp_path / "compose.yaml").write_text("name: demo\nservices: {web: {image: app}}\n")
    project = load(LoadOptions(), environ={}, cwd=tmp_path)
    observed = seen(project)
    [container] = observed.containers
    kept = {key: value for key, value in container.labels.items() if "stackr" not in key}

    def plan(config_hash: str) -> Plan:
        theirs = replace(container, labels={**kept, labels.CONFIG_HASH: config_hash})
        return plan_for(project, replace(observed, containers=(theirs,)))

    assert plan(service_hash(project.typed["services"]["web"])).is_empty
    [change] = plan("0" * 64).changes
    assert change.cause == "made by another tool, from another configuration than this one"
