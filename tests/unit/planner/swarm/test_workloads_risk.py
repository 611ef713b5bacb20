"""Risks of plans of documents: those that services of one host have, and their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from swarm_answers import answered
from swarm_stacks import OLD, project

from stackr.planner.plan.model import Kind, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime.workloads import Observation

STACK = """services:
  db:
    image: db:1
    volumes: [data:/data]
    deploy: {placement: {constraints: [node.hostname==a]}}
  web:
    image: web:1
    depends_on: {db: {condition: service_started, restart: true}}
volumes: {data: {}}
networks: {default: {attachable: false}}
"""
DIALECT = Swarm()
Change = Callable[[str, str], Plan]


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """The plan for a stack that is up and in which one text is replaced by another."""

    def planned(old: str, new: str) -> Plan:
        assert old in STACK
        there = answered(DIALECT.render(project(tmp_path, STACK), OLD).documents, "demo")
        wanted = DIALECT.render(project(tmp_path, STACK.replace(old, new)), OLD)
        return reconcile_documents(wanted, there, DIALECT)

    return planned


def told(plan: Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for risk in plan.risks:
        found.setdefault(risk.id, []).append(f"{risk.path}: {risk.message}")
    return found


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("ports: ['80:80']", "services.web.ports"),
        ("ports: [{target: 80, published: 80, mode: host}]", "services.web.ports"),
        ("network_mode: host", "services.web.network_mode"),
        ("cap_add: [NET_ADMIN]", "services.web.cap_add"),
        ("volumes: [/var/run/docker.sock:/s]", "services.web.volumes"),
        ("pre_start: [{image: tool}]", "services.web.pre_start[0].image"),
    ],
)
def test_what_a_change_newly_brings(change: Change, line: str, path: str) -> None:
    (risk,) = change("image: web:1", f"image: web:1\n    {line}").risks
    assert risk.path == path


def test_data_is_away_while_its_service_is_recreated(change: Change) -> None:
    risks = told(change("db:1", "db:2"))
    assert risks["stateful-recreated"] == ['services.db: service "db" keeps data and is recreated']
    assert "stateful-recreated" not in told(change("web:1", "web:2"))
    assert told(change("image: db:1", "image: db:1\n    scale: 2")) == {}


@pytest.mark.parametrize("said", [True, False])
def test_a_stack_says_itself_what_keeps_data(change: Change, said: bool) -> None:
    name = "web" if said else "db"
    told_so = f"image: {name}:2\n    x-stackr: {{stateful: {str(said).lower()}}}"
    plan = change(f"image: {name}:1", told_so)
    assert ("stateful-recreated" in told(plan)) == said


def test_who_depends_on_what_is_recreated_restarts(change: Change) -> None:
    plan = change("db:1", "db:2")
    restart = next(each for each in plan.changes if each.resource.service == "web")
    assert (restart.kind, restart.touched_by) == (Kind.RESTART, ("db",))
    assert restart.cause == '"db" is recreated'
    steps = [f"{each.resource.name} {each.action.value}" for each in plan.operations]
    assert steps == ["demo_db update service", "demo_db wait for", "demo_web restart service"]
    assert told(plan)["dependants-restarted"] == [
        'services.web.depends_on: service "web" restarts because of db'
    ]
    both = change("restart: true", "restart: false")
    assert both.is_empty


def test_a_dependant_that_changes_is_told_once(tmp_path: Path) -> None:
    there = answered(DIALECT.render(project(tmp_path, STACK), OLD).documents, "demo")
    wanted = DIALECT.render(project(tmp_path, STACK.replace(":1", ":2")), OLD)
    plan = reconcile_documents(wanted, there, DIALECT)
    assert [each.kind for each in plan.changes] == [Kind.RECREATE] * 2
    forced = reconcile_documents(wanted, there, DIALECT, UpOptions(recreate="force"))
    assert [each.kind for each in forced.changes] == [Kind.RECREATE] * 2


def test_a_network_that_changes_moves_its_services(change: Change) -> None:
    plan = change("attachable: false", "attachable: true")
    network = next(e for e in plan.changes if e.resource.kind == "network" and e.affects)
    assert [each.container for each in network.affects] == ["demo_db", "demo_web"]
    assert told(plan)["dependants-restarted"] == [
        f"networks.default: network {network.resource.name} is created again: "
        "recreated: demo_db, demo_web"
    ]


def test_a_new_stack_recreates_nothing(tmp_path: Path) -> None:
    wanted = DIALECT.render(project(tmp_path, STACK), OLD)
    assert reconcile_documents(wanted, Observation("demo"), DIALECT).risks == ()
