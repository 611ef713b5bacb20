"""A plan of documents as people read it, and as it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from swarm_answers import answered
from swarm_stacks import OLD, project

from stackr.errors import Conflict
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.documents import for_document_readers
from stackr.planner.review.saved import (
    check_fresh,
    document_prints,
    saved_plan,
    unsealed,
)
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime.workloads import Observation

STACK = """services:
  web:
    image: nginx
    environment:
      LEVEL: info
    configs: [conf]
    mem_limit: 64m
    ports: ["8080:80"]
    shm_size: 1m
    tmpfs:
      - /run:size=2m
    volumes:
      - /data
configs:
  conf:
    content: hello
"""
DIALECT = Swarm()
KEY = "0a"


def rendered(folder: Path, text: str) -> Rendered:
    return DIALECT.render(project(folder, text), OLD)


def read(folder: Path, before: str, after: str) -> Plan:
    there = answered(rendered(folder, before).documents, "demo")
    wanted = rendered(folder, after)
    return for_document_readers(reconcile_documents(wanted, there, DIALECT), wanted, DIALECT)


@pytest.mark.parametrize(
    ("old", "new", "path", "line"),
    [
        ("LEVEL: info", "LEVEL: debug", "environment.LEVEL", 6),
        ("64m", "32m", "deploy.resources.limits.memory", 8),
        ("hello", "bye", "configs[demo_conf].sha256", 17),
        ("8080", "8081", "ports", 9),
        ("shm_size: 1m", "shm_size: 3m", "volumes[/dev/shm].tmpfs.size", 10),
        ("size=2m", "size=3m", "volumes[/run].tmpfs.size", 12),
    ],
)
def test_a_change_has_its_place(tmp_path: Path, old: str, new: str, path: str, line: int) -> None:
    plan = read(tmp_path, STACK, STACK.replace(old, new))
    change = next(each for each in plan.changes if each.resource.kind == "service")
    (field,) = change.fields
    assert field.path == path
    assert field.source is not None
    assert (field.source.file, field.source.line) == ("compose.yaml", line)
    assert change.source is not None
    assert change.source.line == 4


def test_what_is_created_is_outlined(tmp_path: Path) -> None:
    wanted = rendered(tmp_path, STACK)
    plan = reconcile_documents(wanted, Observation("demo"), DIALECT)
    web = for_document_readers(plan, wanted, DIALECT).changes[-1]
    assert [field.path for field in web.fields] == [
        "configs[demo_conf]",
        "image",
        "ports",
        "volumes[/data]",
        "volumes[/dev/shm]",
        "volumes[/run]",
    ]
    detailed = for_document_readers(plan, wanted, DIALECT, detail=True).changes[-1]
    assert "environment.LEVEL" in [field.path for field in detailed.fields]


def test_risks_are_told_and_judged(tmp_path: Path) -> None:
    policy = "x-stackr: {policy: {image-unpinned: error, port-opened: ignore}}\n"
    plan = reconcile_documents(rendered(tmp_path, STACK + policy), Observation("demo"), DIALECT)
    assert [risk.id for risk in plan.risks] == ["image-unpinned"]
    assert plan.is_refused


@pytest.mark.parametrize(
    ("volume", "deploy", "is_told"),
    [
        ("{}", "{}", True),
        ("{}", "{placement: {constraints: [node.hostname==a]}}", False),
        ("{}", "{placement: {constraints: [node.role==worker]}}", True),
        ("{}", "{placement: {constraints: ['node.hostname!=a']}}", True),
        ("{}", "{mode: global}", False),
        ("{driver: shared}", "{}", False),
    ],
)
def test_data_that_stays_behind_is_a_risk(
    tmp_path: Path, volume: str, deploy: str, is_told: bool
) -> None:
    text = f"""services: {{db: {{image: "a:1", volumes: ["data:/d"], deploy: {deploy}}}}}
volumes: {{data: {volume}}}
"""
    wanted = rendered(tmp_path, text)
    plan = reconcile_documents(wanted, Observation("demo"), DIALECT)
    assert [risk.id for risk in plan.risks] == ["data-stays-behind"] * is_told
    assert reconcile_documents(wanted, answered(wanted.documents, "demo"), DIALECT).risks == ()


def saved(plan: Plan, wanted: Rendered, there: Observation) -> dict[str, Any]:
    prints = document_prints(plan, wanted, there, KEY)
    return saved_plan(plan, prints, UpOptions(), command={}, made={}, key=KEY)


class _Saved:
    def __init__(self, folder: Path) -> None:
        self.wanted = rendered(folder, STACK.replace("info", "debug"))
        self.there = answered(rendered(folder, STACK).documents, "demo")
        plan = reconcile_documents(self.wanted, self.there, DIALECT)
        self.document: Mapping[str, Any] = unsealed(saved(plan, self.wanted, self.there))

    def check(self, wanted: Rendered, there: Observation, options: UpOptions | None = None) -> None:
        plan = reconcile_documents(wanted, there, DIALECT, options)
        check_fresh(self.document, document_prints(plan, wanted, there, KEY))


def test_a_saved_plan_holds_for_what_it_was_made_for(tmp_path: Path) -> None:
    kept = _Saved(tmp_path)
    kept.check(kept.wanted, kept.there)
    kept.check(kept.wanted, kept.there, UpOptions(wait=True))
    moved = tuple(
        replace(each, version=each.version + 1) if each.name == "demo_web" else each
        for each in kept.there.documents
    )
    with pytest.raises(Conflict, match="engine: service demo_web is changed"):
        kept.check(kept.wanted, replace(kept.there, documents=moved))
    with pytest.raises(Conflict, match="stack file: service web is changed"):
        kept.check(rendered(tmp_path, STACK), kept.there)


def test_a_saved_plan_holds_no_secret(tmp_path: Path) -> None:
    text = "services: {web: {image: a, secrets: [s]}}\nsecrets: {s: {environment: TOKEN}}"
    wanted = DIALECT.render(project(tmp_path, text, {"TOKEN": "hunter2"}), OLD)
    plan = reconcile_documents(wanted, Observation("demo"), DIALECT)
    assert "hunter2" not in str(saved(plan, wanted, Observation("demo")))
