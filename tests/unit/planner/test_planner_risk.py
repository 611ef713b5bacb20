"""Risks: what is told, what is no news, and what a policy makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runtime import FakeRuntime
from planning import needs, plan_for, port, published, service, stack, up

from stackr.planner.change.risk import RISKS
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan, RiskLevel
from stackr.planner.plan.options import UpOptions
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.service import Hook, InitStep, Service
from stackr.spec.model.volume import Volume

NOTHING = Observed("demo")
DATA = ServiceVolume(type="volume", source="data", target="/data")
VOLUMES = {"data": Volume(name="demo_data")}


def ids(plan: Plan) -> list[str]:
    return [risk.id for risk in plan.risks]


def created(attributes: dict[str, Any]) -> list[str]:
    return ids(plan_for(stack({"web": service(**{"image": "app:1", **attributes})}), NOTHING))


async def changed(before: Service, after: Service) -> Plan:
    """The plan from one form of a service that is up to another."""
    runtime = FakeRuntime.with_images("app", "app:1")
    await up(runtime, stack({"web": before}, volumes=VOLUMES))
    project = stack({"web": after}, volumes=VOLUMES)
    return plan_for(project, await observe(runtime, "demo", desired(project)))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, []),
        ({"image": "app"}, ["image-unpinned"]),
        ({"image": "app:latest"}, ["image-unpinned"]),
        ({"image": "host:5000/app"}, ["image-unpinned"]),
        ({"image": "host:5000/app:1.2"}, []),
        ({"image": "app@sha256:" + "a" * 64}, []),
        ({"privileged": True}, ["privileged"]),
        ({"pre_start": (InitStep(image="tool:1", privileged=True),)}, ["privileged"]),
        ({"post_start": (Hook(command=("x",), privileged=True),)}, ["privileged"]),
        ({"pre_start": (InitStep(image="tool"),)}, ["image-unpinned"]),
        ({"pre_start": (InitStep(image="app:1"),)}, []),
        ({"cap_add": ("NET_ADMIN",)}, ["capability-added"]),
        ({"ports": published(80)}, ["port-opened"]),
        ({"ports": (port(80, "80", host_ip="127.0.0.1"),)}, []),
        ({"ports": (port(80, "80", host_ip="0.0.0.0"),)}, ["port-opened"]),
        ({"pid": "host"}, ["host-namespace"]),
        ({"network_mode": "host"}, ["host-namespace"]),
        (
            {"volumes": (ServiceVolume(type="bind", source="/var/run/docker.sock", target="/s"),)},
            ["engine-socket-mounted"],
        ),
        ({"use_api_socket": True}, ["engine-socket-mounted"]),
    ],
)
def test_of_a_new_service(attributes: dict[str, Any], expected: list[str]) -> None:
    assert created(attributes) == expected


async def test_what_was_so_before_is_no_news() -> None:
    plain = service(privileged=True, cap_add=("NET_ADMIN",), ports=published(80))
    again = plain.model_copy(update={"user": "root"})
    assert ids(await changed(plain, again)) == []
    more = again.model_copy(update={"cap_add": ("NET_ADMIN", "SYS_TIME")})
    plan = await changed(plain, more)
    assert [risk.message for risk in plan.risks] == ['service "web" gets SYS_TIME']


async def test_data_that_is_lost_sight_of() -> None:
    plan = await changed(service(volumes=(DATA,)), service())
    assert [(risk.id, risk.path) for risk in plan.risks] == [
        ("volume-removed", "services.web.volumes")
    ]


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({}, ["stateful-recreated"]),
        ({"x-stackr": {"stateful": False}}, []),
    ],
)
async def test_data_that_is_away_meanwhile(extensions: Any, expected: list[str]) -> None:
    before = service(volumes=(DATA,))
    after = service(volumes=(DATA,), user="root", extensions=extensions)
    assert ids(await changed(before, after)) == expected


async def test_dependants_that_restart() -> None:
    runtime = FakeRuntime.with_images("app", "app:2")
    web = service(depends_on=needs("db", restart=True))
    await up(runtime, stack({"web": web, "db": service()}))
    project = stack({"web": web, "db": service(image="app:2")})
    plan = plan_for(project, await observe(runtime, "demo", desired(project)))
    assert [(risk.id, risk.message) for risk in plan.risks] == [
        ("dependants-restarted", 'service "web" restarts because of db')
    ]


async def test_a_stack_of_the_same_name_in_another_folder() -> None:
    """Its containers are this project's, for Docker Compose too; that they go is said."""
    runtime = FakeRuntime.with_images("app:1", "app:2")
    theirs = stack({"web": service(image="app:1"), "db": service(image="app:1")})
    await up(runtime, theirs)
    here = {"working_dir": "/here", "compose_files": ("/here/compose.yml",)}
    ours = stack({"web": service(image="app:2")}).model_copy(update=here)
    observed = await observe(runtime, "demo", desired(ours))
    plan = plan_for(ours, observed)
    assert [(r.id, r.path, r.message) for r in plan.risks] == [
        ("other-stack", "services.web", "container demo-web-1 was made from /demo")
    ]
    [orphans] = plan.warnings
    assert orphans.startswith("found orphan containers (demo-db-1) for this project: /demo made")
    plan = plan_for(ours, observed, UpOptions(remove_orphans=True))
    assert [(r.id, r.path) for r in plan.risks] == [
        ("other-stack", "services.web"),
        ("other-stack", "name"),
    ]
    again = theirs.model_copy(update={"services": {"web": service(image="app:2")}})
    assert ids(plan_for(again, observed, UpOptions(remove_orphans=True))) == []


@pytest.mark.parametrize(
    ("level", "expected", "refused"),
    [("error", RiskLevel.ERROR, True), ("warn", RiskLevel.WARN, False)],
)
def test_a_policy_sets_the_level(level: str, expected: RiskLevel, refused: bool) -> None:
    policy = {"x-stackr": {"policy": {"privileged": level, "image-unpinned": "ignore"}}}
    project = stack({"web": service(privileged=True)}, extensions=policy)
    plan = plan_for(project, NOTHING)
    assert [(risk.id, risk.level) for risk in plan.risks] == [("privileged", expected)]
    assert plan.is_refused is refused


def test_every_risk_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "diff.md"
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in RISKS.items())
    assert f"| --- | --- |\n{rows}\n\n" in page.read_text(encoding="utf-8")
