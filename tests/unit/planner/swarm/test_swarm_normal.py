"""What a Swarm answers means what it was sent; what somebody changed shows in people's words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from swarm_answers import DIGEST, answered
from swarm_stacks import NEW, project, rendered

from stackr.planner.swarm.dialect import Swarm
from stackr.planner.swarm.normal import normal_image, normal_service
from stackr.planner.workloads.compare import is_same
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime import labels
from stackr.runtime.workloads import DocumentKind, Observation, ObservedDocument

RICH = """services:
  web:
    image: nginx:1.27
    command: [a]
    environment: {A: "1"}
    ports: ["8080:80", {target: 443, published: 8443, mode: host}]
    volumes: [data:/data, /etc/x:/x:ro]
    configs: [conf]
    secrets: [token]
    init: true
    cap_add: [B, A]
    healthcheck: {test: [CMD, x], interval: 5s}
    depends_on: {job: {condition: service_completed_successfully}}
    deploy:
      replicas: 2
      labels: {x: y}
      update_config: {order: stop-first, failure_action: pause, max_failure_ratio: 0}
      restart_policy: {condition: any, delay: 0s}
      resources: {limits: {cpus: "0.5"}}
  all: {image: agent, deploy: {mode: global}}
  job: {image: tool}
networks: {default: {attachable: true}}
volumes: {data: {}}
configs: {conf: {content: hello}}
secrets: {token: {environment: TOKEN}}
"""


@pytest.mark.parametrize("pin", [True, False])
def test_what_comes_back_means_what_was_sent(tmp_path: Path, pin: bool) -> None:
    dialect = Swarm()
    rendered = dialect.render(project(tmp_path, RICH, {"TOKEN": "t"}), NEW)
    observation = answered(rendered.documents, "demo", pin=pin)
    for wanted, found in zip(rendered.documents, observation.documents, strict=True):
        normal = dialect.normal(found, observation.names, wanted)
        assert normal.spec == wanted.spec
        assert is_same(wanted, normal)
        assert dialect.attributes(normal) == dialect.attributes(wanted)


def test_a_normal_form_is_normal() -> None:
    spec = {"Mode": {"Global": {}}, "UpdateConfig": {"Parallelism": 0, "MaxFailureRatio": 0}}
    once = normal_service(spec)
    assert once == {"Mode": {"Global": {}}, "UpdateConfig": {"Parallelism": 0}}
    assert normal_service(once) == once


def test_what_says_something_is_kept() -> None:
    spec = {
        "TaskTemplate": {
            "ContainerSpec": {"Init": False, "Labels": {"empty": ""}, "Env": ["A="], "TTY": False},
            "RestartPolicy": {"Delay": 0, "MaxAttempts": 0},
        },
        "Mode": {"Replicated": {"Replicas": 0}},
    }
    assert normal_service(spec) == {
        "TaskTemplate": {
            "ContainerSpec": {"Init": False, "Labels": {"empty": ""}, "Env": ["A="]},
            "RestartPolicy": {"Delay": 0},
        },
        "Mode": {"Replicated": {"Replicas": 0}},
    }


@pytest.mark.parametrize(
    ("image", "label", "wanted"),
    [
        (f"nginx:1.27@{DIGEST}", "nginx:1.27", "nginx:1.27"),
        (f"nginx:latest@{DIGEST}", "nginx", "nginx"),
        (f"docker.io/library/nginx:latest@{DIGEST}", "nginx", "nginx"),
        (f"r:5000/a@{DIGEST}", "r:5000/a", "r:5000/a"),
        ("nginx:1.26", "nginx:1.27", "nginx:1.26"),
        (f"nginx@{DIGEST}", f"nginx@{DIGEST}", f"nginx@{DIGEST}"),
        ("nginx@sha256:other", f"nginx@{DIGEST}", "nginx@sha256:other"),
        ("nginx", "", "nginx"),
    ],
)
def test_an_image_is_that_of_its_label(image: str, label: str, wanted: str) -> None:
    assert normal_image(image, label) == wanted


_FORGOTTEN = """services:
  web:
    image: nginx
    volumes:
      - /a:/b
      - {type: bind, source: /c, target: /d, bind: {recursive: readonly}}
    healthcheck: {test: a, start_interval: 1s, start_period: 2s}
"""


def _forget(there: Observation) -> Observation:
    """What some engines do with what their API has."""
    for document in there.documents:
        container = document.spec.get("TaskTemplate", {}).get("ContainerSpec", {})
        for mount in container.get("Mounts", ()):
            mount.pop("BindOptions", None)
        container.get("Healthcheck", {}).pop("StartInterval", None)
    return there


@pytest.mark.parametrize("is_adopted", [True, False])
def test_what_an_engine_forgets_is_no_difference(tmp_path: Path, is_adopted: bool) -> None:
    wanted = rendered(tmp_path, _FORGOTTEN, NEW)
    there = _forget(answered(wanted.documents, "demo"))
    if is_adopted:
        bare = {labels.STACK_NAMESPACE: "demo", labels.STACK_IMAGE: "nginx"}
        of_docker = tuple(replace(each, labels=bare) for each in there.documents)
        there = replace(there, documents=of_docker)
    plan = reconcile_documents(wanted, there, Swarm())
    assert [each for each in plan.changes if each.resource.kind == "service"] == []


def test_what_the_file_changes_is_one_all_the_same(tmp_path: Path) -> None:
    before = rendered(tmp_path, _FORGOTTEN.replace("      - /a:/b\n", ""), NEW)
    there = _forget(answered(before.documents, "demo"))
    plan = reconcile_documents(rendered(tmp_path, _FORGOTTEN, NEW), there, Swarm())
    (change,) = plan.changes
    assert "volumes[/b]" in {field.path for field in change.fields}


def test_platforms_of_docker_s_own_commands_are_nobody_s_wish() -> None:
    spec = {"TaskTemplate": {"Placement": {"Platforms": [{"OS": "linux"}]}}}
    foreign = ObservedDocument(DocumentKind.SERVICE, "demo_web", "x", 1, spec)
    ours = replace(foreign, labels={"io.stackr.hash": "0"})
    assert "Placement" not in Swarm().normal(foreign, {}).spec["TaskTemplate"]
    assert "Placement" in Swarm().normal(ours, {}).spec["TaskTemplate"]


_CHANGES: list[tuple[str, Any, str]] = [
    ("Env", ["A=1", "B=2"], "environment.B"),
    ("Args", ["b"], "command"),
    ("Hostname", "h", "hostname"),
    ("StopGracePeriod", 5, "stop_grace_period"),
    ("CapabilityAdd", ["A"], "cap_add"),
    ("Privileges", {"NoNewPrivileges": True}, "security_opt"),
    ("Unheard", {"Of": 1}, "TaskTemplate"),
]


@pytest.mark.parametrize(("key", "value", "path"), _CHANGES)
def test_a_change_shows_in_the_stack_file_s_words(
    tmp_path: Path, key: str, value: Any, path: str
) -> None:
    dialect = Swarm()
    rendered = dialect.render(project(tmp_path, RICH, {"TOKEN": "t"}), NEW)
    observation = answered(rendered.documents, "demo")
    web = next(each for each in observation.documents if each.name == "demo_web")
    web.spec["TaskTemplate"]["ContainerSpec"][key] = value
    wanted = next(each for each in rendered.documents if each.name == "demo_web")
    normal = dialect.normal(web, observation.names, wanted)
    before, after = dialect.attributes(normal), dialect.attributes(wanted)
    top = path.partition(".")[0]
    assert {key for key in {*before, *after} if before.get(key) != after.get(key)} == {top}
