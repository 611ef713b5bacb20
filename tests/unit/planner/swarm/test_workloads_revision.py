"""What a cluster keeps of a stack, and what going back to it means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from swarm_answers import DIGEST, answered
from swarm_stacks import OLD, project

from stackr.planner.observe.revision import Revision
from stackr.planner.plan.model import Kind, Origin, Plan
from stackr.planner.plan.payloads import UpdateDocument
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.planner.workloads.revision import (
    KeptRevision,
    as_observed,
    images_of,
    kept_names,
    record_of,
    recorded,
    returning,
)
from stackr.runtime.workloads import DocumentKind, Observation

DIALECT = Swarm()
NEWER = f"sha256:{'1' * 64}"


def stack(folder: Path, image: str) -> Rendered:
    text = f"services: {{web: {{image: {image}}}, db: {{image: nginx}}}}\n"
    return DIALECT.render(project(folder, text), OLD)


def kept(there: Observation) -> KeptRevision:
    revision = Revision(1, images=images_of(there, DIALECT))
    return KeptRevision(revision, as_observed(there, DIALECT))


def with_digest(there: Observation, digest: str) -> Observation:
    """The same after all of its images have moved."""
    moved = (
        replace(each, spec=DIALECT.pinned(document, f"{label}@{digest}").spec)
        if each.kind is DocumentKind.SERVICE
        else each
        for each in there.documents
        for document in (DIALECT.normal(each, there.names),)
        for label in (DIALECT.image_of(each).partition("@")[0],)
    )
    return replace(there, documents=tuple(moved))


def back(then: KeptRevision, now: Observation, folder: Path) -> Plan:
    wanted = returning(then, DIALECT, stack(folder, "nginx").project)
    return reconcile_documents(wanted, now, DIALECT)


def sent_images(plan: Plan) -> set[str]:
    payloads = (each.payload for each in plan.operations)
    return {
        each.document.spec["TaskTemplate"]["ContainerSpec"]["Image"]
        for each in payloads
        if isinstance(each, UpdateDocument)
    }


def test_what_is_there_is_where_one_goes_back_to(tmp_path: Path) -> None:
    there = answered(stack(tmp_path, "nginx").documents, "demo")
    assert back(kept(there), there, tmp_path).is_empty


def test_going_back_is_to_the_digest_of_that_time(tmp_path: Path) -> None:
    there = answered(stack(tmp_path, "nginx").documents, "demo")
    plan = back(kept(there), with_digest(there, NEWER), tmp_path)
    assert [(c.kind, c.origin) for c in plan.changes] == [(Kind.RECREATE, Origin.FILE)] * 2
    assert {field.path for change in plan.changes for field in change.fields} == {"image"}
    assert sent_images(plan) == {f"nginx@{DIGEST}"}


@pytest.mark.parametrize("now", ["nginx:2", "nginx@sha256:" + "2" * 64])
def test_another_reference_goes_back_to_the_digest_too(tmp_path: Path, now: str) -> None:
    then = kept(answered(stack(tmp_path, "nginx:1").documents, "demo"))
    plan = back(then, answered(stack(tmp_path, now).documents, "demo"), tmp_path)
    assert sent_images(plan) == {f"nginx:1@{DIGEST}"}


def test_what_somebody_else_made_keeps_its_digest(tmp_path: Path) -> None:
    """Its labels are those of `docker stack deploy`, which know no key."""
    there = answered(stack(tmp_path, "nginx").documents, "demo")
    bare = tuple(
        replace(
            each, labels={k: v for k, v in each.labels.items() if not k.startswith("io.stackr")}
        )
        for each in there.documents
    )
    there = replace(there, documents=bare)
    assert sent_images(back(kept(there), with_digest(there, NEWER), tmp_path)) == {
        f"nginx@{DIGEST}"
    }


def test_only_what_is_needed_is_unpacked(tmp_path: Path) -> None:
    """What a revision uses, and what became of it, is beside it; before, it was in it alone."""
    text = "services: {web: {image: nginx, configs: [c]}}\nconfigs: {c: {content: %s}}\n"
    records = []
    for number, (content, status) in enumerate((("a", "applied"), ("b", "failed")), 1):
        wanted = DIALECT.render(project(tmp_path, text % content), OLD)
        now = kept(answered(wanted.documents, "demo"))
        revision = replace(now.revision, number=number, status=status)
        records.append(record_of("demo", replace(now, revision=revision)))
    names = {name for _, name in recorded(records) if name.startswith("demo_c-")}
    assert len(names) == 1
    assert names < kept_names(records)
    assert len(kept_names(records)) == 2
    damaged = [replace(each, content=b"") for each in records]
    assert kept_names(damaged) == kept_names(records)
    assert recorded([records[0], damaged[1]]) == recorded(records)
    older = [replace(each, labels={}) for each in records]
    assert kept_names(older) == kept_names(records)
    assert recorded(older) == recorded(records)
