"""Plans for engines that take documents: what changes, why, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from swarm_answers import DIGEST, answered
from swarm_stacks import OLD, project

from stackr.errors import InvalidProject, NotFound
from stackr.planner.plan.model import Kind, Origin, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import (
    AwaitWorkload,
    CreateDocument,
    RemoveDocument,
    UpdateDocument,
)
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import Circumstances, reconcile_documents, scaled
from stackr.runtime.workloads import DocumentKind, Observation, ObservedDocument

STACK = """services:
  web:
    image: nginx:1.27
    environment: {LEVEL: info}
    configs: [conf]
    depends_on: {db: {condition: service_healthy}, job: {condition: service_completed_successfully}}
    deploy: {replicas: 2, update_config: {order: start-first}}
  db: {image: postgres:16}
  job: {image: tool:1}
configs: {conf: {content: hello}}
"""
EMPTY = Observation("demo")
DIALECT = Swarm()

Render = Callable[[str], Rendered]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    return lambda text: DIALECT.render(project(tmp_path, text), OLD)


def plan(
    rendered: Rendered,
    there: Observation,
    options: UpOptions | None = None,
    **around: Any,
) -> Plan:
    return reconcile_documents(rendered, there, DIALECT, options, Circumstances(**around))


def by_hand(there: Observation, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change an observed service's spec, as `docker service update` does."""
    change(dict(next(each for each in there.documents if each.name == name).spec))


def test_a_new_stack_comes_in_waves(render: Render) -> None:
    made = plan(render(STACK), EMPTY)
    job = next(c.resource.name for c in made.changes if c.resource.service == "job")
    assert str(made).splitlines() == [
        "#1 network:demo_default create network: no existing network",
        "#2 config:demo_conf-2cf24dba5fb0 create config: no existing config",
        "[1] -> #3 service:demo_db create service: no existing service",
        f"[1] -> #4 service:{job} create service: no existing service",
        "[3] -> #5 service:demo_db wait for: needed by web",
        f"[4] -> #6 service:{job} wait for: needed by web",
        "[1,2,5,6] -> #7 service:demo_web create service: no existing service",
    ]
    assert [(stage.verb, stage.services) for stage in made.order] == [
        ("start", ("db", "job")),
        ("start", ("web",)),
    ]
    assert {change.kind for change in made.changes} == {Kind.CREATE}


def test_what_is_there_is_left_alone(render: Render) -> None:
    rendered = render(STACK)
    made = plan(rendered, answered(rendered.documents, "demo"))
    assert made.is_empty
    assert made.changes == ()
    assert made.unchanged == 5


def test_one_field_of_the_file(render: Render) -> None:
    there = answered(render(STACK).documents, "demo")
    made = plan(render(STACK.replace("LEVEL: info", "LEVEL: debug")), there)
    (change,) = made.changes
    assert (change.kind, change.resource.service) == (Kind.RECREATE, "web")
    (field,) = change.fields
    assert (field.path, field.old, field.new) == ("environment.LEVEL", "info", "debug")
    assert change.origin is field.origin is Origin.FILE
    assert str(change.rollout) == "×2, rolling, start-first, 1 at a time"
    update = made.operations[-1].payload
    assert isinstance(update, UpdateDocument)
    found = next(each for each in there.documents if each.name == "demo_web")
    assert (update.id, update.version) == (found.id, found.version)
    image = update.document.spec["TaskTemplate"]["ContainerSpec"]["Image"]
    assert image == f"nginx:1.27@{DIGEST}"


def test_replicas_change_no_task(render: Render) -> None:
    there = answered(render(STACK).documents, "demo")
    (change,) = plan(render(STACK.replace("replicas: 2", "replicas: 3")), there).changes
    assert change.kind is Kind.UPDATE
    assert [field.path for field in change.fields] == ["deploy.replicas"]
    assert not change.fields[0].forces_recreate


def test_a_change_by_hand_is_drift_and_nothing_else(render: Render) -> None:
    rendered = render(STACK)
    there = answered(rendered.documents, "demo")
    by_hand(
        there,
        "demo_web",
        lambda spec: spec["TaskTemplate"]["ContainerSpec"].update({"Env": ["LEVEL=info", "X=1"]}),
    )
    (change,) = plan(rendered, there).changes
    assert change.origin is Origin.DRIFT
    assert [(f.path, f.origin) for f in change.fields] == [("environment.X", Origin.DRIFT)]
    assert change.cause == "environment changed outside stackr"


def test_drift_and_the_file_s_own_change_are_told_apart(render: Render) -> None:
    rendered = render(STACK)
    there = answered(rendered.documents, "demo")
    by_hand(
        there,
        "demo_web",
        lambda spec: spec["TaskTemplate"]["ContainerSpec"].update({"Env": ["LEVEL=info", "X=1"]}),
    )
    recorded = {(each.kind, each.name): each for each in rendered.documents}
    changed = render(STACK.replace("LEVEL: info", "LEVEL: debug"))
    (change,) = plan(changed, there, recorded=recorded).changes
    origins = {field.path: field.origin for field in change.fields}
    assert origins == {"environment.LEVEL": Origin.FILE, "environment.X": Origin.DRIFT}
    assert change.origin is Origin.FILE


def test_a_service_that_somebody_removed_is_drift(render: Render) -> None:
    rendered = render(STACK)
    there = answered(rendered.documents, "demo")
    rest = tuple(each for each in there.documents if each.name != "demo_db")
    recorded = {(each.kind, each.name): each for each in rendered.documents}
    (change,) = plan(rendered, replace(there, documents=rest), recorded=recorded).changes
    assert (change.kind, change.origin) == (Kind.CREATE, Origin.DRIFT)


def test_another_content_is_another_config(render: Render) -> None:
    there = answered(render(STACK).documents, "demo")
    made = plan(render(STACK.replace("hello", "bye")), there)
    web = next(change for change in made.changes if change.resource.service == "web")
    assert [field.path for field in web.fields] == ["configs[demo_conf].sha256"]
    kinds = [(c.resource.kind, c.kind) for c in made.changes]
    assert kinds == [
        ("config", Kind.CREATE),
        ("config", Kind.REMOVE),
        ("service", Kind.RECREATE),
    ]
    create, *_, remove = made.operations
    assert isinstance(create.payload, CreateDocument)
    assert isinstance(remove.payload, RemoveDocument)
    assert remove.payload.name == "demo_conf-2cf24dba5fb0"
    kept = plan(render(STACK.replace("hello", "bye")), there, kept={"demo_conf-2cf24dba5fb0"})
    assert not any(isinstance(each.payload, RemoveDocument) for each in kept.operations)


def test_a_job_runs_once(render: Render) -> None:
    there = answered(render(STACK).documents, "demo")
    made = plan(render(STACK.replace("tool:1", "tool:2")), there)
    jobs = [(c.kind, c.cause) for c in made.changes if c.resource.service == "job"]
    assert jobs == [
        (Kind.CREATE, "no existing service"),
        (Kind.REMOVE, "another one has taken its place"),
    ]


def test_a_network_that_changes_gets_another_name(render: Render) -> None:
    text = STACK + "networks: {default: {attachable: %s}}\n"
    first, second = render(text % "false"), render(text % "true")
    there = answered(first.documents, "demo")
    made = plan(second, there)
    create = next(each.payload for each in made.operations if each.action.value == "create network")
    assert isinstance(create, CreateDocument)
    name = create.document.name
    assert name.startswith("demo_default-")
    updated = [each.payload for each in made.operations if isinstance(each.payload, UpdateDocument)]
    assert {each.document.name for each in updated} >= {"demo_db", "demo_web"}
    assert {
        network["Target"]
        for each in updated
        for network in each.document.spec["TaskTemplate"]["Networks"]
    } == {name}
    assert made.operations[-1].payload == RemoveDocument(
        DocumentKind.NETWORK, "id-demo_default", "demo_default", 10
    )
    sent = [o.payload.document for o in made.operations if isinstance(o.payload, CreateDocument)]
    sent += [each.document for each in updated]
    rest = [each for each in first.documents if each.kind is DocumentKind.CONFIG]
    assert plan(second, answered([*sent, *rest], "demo")).is_empty


def test_another_mode_is_another_service(render: Render) -> None:
    there = answered(render(STACK).documents, "demo")
    text = STACK.replace(
        "db: {image: postgres:16}", "db: {image: postgres:16, scale: 1, deploy: {mode: global}}"
    )
    made = plan(render(text), there)
    actions = [each.action.value for each in made.operations]
    assert actions[:2] == ["remove service", "create service"]


def test_orphans_stay_until_they_are_asked_to_go(render: Render) -> None:
    there = answered(render(STACK).documents, "demo")
    stray = ObservedDocument(DocumentKind.SERVICE, "demo_old", "id-old", 3)
    there = replace(there, documents=(*there.documents, stray))
    rendered = render(STACK)
    made = plan(rendered, there)
    assert [change.kind for change in made.changes] == [Kind.ORPHAN]
    assert made.is_empty
    made = plan(rendered, there, UpOptions(remove_orphans=True))
    assert [change.kind for change in made.changes] == [Kind.REMOVE]


def test_what_an_orphan_uses_stays(render: Render) -> None:
    first = render(STACK)
    there = answered(first.documents, "demo")
    second = render(STACK.replace("    configs: [conf]\n", "").replace("web", "www"))
    made = plan(second, there)
    removed = [e.payload.name for e in made.operations if isinstance(e.payload, RemoveDocument)]
    assert removed == []


def test_a_digest_that_moved_is_an_update(render: Render) -> None:
    rendered = render(STACK)
    there = answered(rendered.documents, "demo")
    other = f"sha256:{'1' * 64}"
    (change,) = plan(rendered, there, digests={"nginx:1.27": other}).changes
    assert [(f.path, f.old, f.new) for f in change.fields] == [("image", DIGEST, other)]
    assert plan(rendered, there, digests={"nginx:1.27": DIGEST}).is_empty
    created = plan(rendered, EMPTY, digests={"nginx:1.27": other})
    document = created.operations[-1].payload
    assert isinstance(document, CreateDocument)
    image = document.document.spec["TaskTemplate"]["ContainerSpec"]["Image"]
    assert image == f"nginx:1.27@{other}"


def test_what_docker_made_is_adopted_as_it_is(render: Render) -> None:
    """A stack of `docker stack deploy`: no labels of ours, the configs under plain names."""
    rendered = render(STACK.replace("    configs: [conf]\n", ""))
    there = answered(rendered.documents, "demo")
    plain = tuple(
        replace(
            each,
            labels={k: v for k, v in each.labels.items() if not k.startswith("io.stackr.")},
        )
        for each in there.documents
    )
    assert plan(rendered, replace(there, documents=plain)).is_empty


def test_some_services_and_what_they_need(render: Render) -> None:
    rendered = render(STACK)
    made = plan(rendered, EMPTY, UpOptions(services=("db",)))
    assert {change.resource.name for change in made.changes} == {"demo_default", "demo_db"}
    made = plan(rendered, EMPTY, UpOptions(services=("web",), no_deps=True))
    assert {c.resource.service for c in made.changes if c.resource.service} == {"web"}
    with pytest.raises(NotFound, match="no such service: nope"):
        plan(rendered, EMPTY, UpOptions(services=("nope",)))


def test_force_restarts_what_did_not_change_and_no_job(render: Render) -> None:
    rendered = render(STACK)
    made = plan(rendered, answered(rendered.documents, "demo"), UpOptions(recreate="force"))
    assert [(c.kind, c.resource.service) for c in made.changes] == [
        (Kind.RESTART, "db"),
        (Kind.RESTART, "web"),
    ]
    never = plan(
        render(STACK.replace("info", "debug")),
        answered(rendered.documents, "demo"),
        UpOptions(recreate="never"),
    )
    assert never.is_empty


def test_waits_for_all_that_was_asked_for(render: Render) -> None:
    rendered = render(STACK)
    made = plan(rendered, answered(rendered.documents, "demo"), UpOptions(wait=True))
    assert [each.action.value for each in made.operations] == ["wait for"] * 3
    assert made.changes == ()


def test_a_wait_has_the_lesser_of_two_limits(render: Render) -> None:
    text = STACK.replace(
        "db: {image: postgres:16}", "db: {image: db, x-stackr: {ready_timeout: 9s}}"
    )
    made = plan(render(text), EMPTY, UpOptions(wait=True, wait_timeout_s=30))
    waits = [each.payload for each in made.operations if isinstance(each.payload, AwaitWorkload)]
    assert {each.name.partition("-")[0]: each.timeout_s for each in waits} == {
        "demo_db": 9,
        "demo_job": 30,
        "demo_web": 30,
    }


def test_an_external_network_has_to_be_there(render: Render) -> None:
    text = STACK + "networks: {default: {external: true, name: shared}}\n"
    with pytest.raises(InvalidProject, match=r'compose\.yaml:\d+.*network "shared" is external'):
        plan(render(text), EMPTY)
    shared = ObservedDocument(DocumentKind.NETWORK, "shared", "id-shared", 1)
    assert plan(render(text), replace(EMPTY, others=(shared,))).operations


def test_scale_is_another_number_of_replicas(tmp_path: Path) -> None:
    loaded = project(tmp_path, STACK)
    made = DIALECT.render(scaled(loaded, {"db": 3}), OLD)
    db = next(each for each in made.documents if each.key == "db")
    assert db.spec["Mode"] == {"Replicated": {"Replicas": 3}}
    assert scaled(loaded, {}) is loaded
    with pytest.raises(NotFound, match="no such service: nope"):
        scaled(loaded, {"nope": 1})


def test_the_same_input_gives_the_same_plan(render: Render) -> None:
    one, other = (plan(render(STACK), EMPTY) for _ in range(2))
    assert str(one) == str(other)
    assert one.to_json() == other.to_json()
