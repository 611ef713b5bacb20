"""`run` on a cluster: what becomes of a service."""

from __future__ import annotations

from pathlib import Path

import pytest
from swarm_stacks import OLD, project

from stackr.errors import NotFound
from stackr.planner.commands.job import as_job
from stackr.planner.commands.oneoff import OneOff
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime.workloads import (
    Document,
    DocumentKind,
    Observation,
    ObservedDocument,
)
from stackr.spec.model.parts import Port
from stackr.spec.model.project import Project

_STACK = """
services:
  web:
    image: nginx
    command: serve
    restart: always
    environment: {A: file, B: file}
    networks: {default: {aliases: [www]}}
    pre_start: [{command: [prepare]}]
    deploy: {replicas: 3, labels: {team: a}, update_config: {order: start-first}}
  db: {image: postgres}
"""
_SLUG = "0123456789abcdef"


def _job(found: Project, wanted: OneOff) -> Document:
    whole, key = as_job(found, wanted)
    services = Swarm().render(whole, OLD).of_kind(DocumentKind.SERVICE)
    return next(each for each in services if each.key == key)


def test_a_service_runs_once_by_a_name_of_its_own(tmp_path: Path) -> None:
    found = project(tmp_path, _STACK)
    wanted = OneOff("web", _SLUG, command=("check",), environment={"A": "run"}, tty=True)
    job = _job(found, wanted)
    assert job.name == "demo_web-run-0123456789ab"
    assert job.spec["Mode"] == {"Replicated": {"Replicas": 1}}
    assert "UpdateConfig" not in job.spec
    assert "EndpointSpec" not in job.spec, "the service's own ports are its own"
    task = job.spec["TaskTemplate"]
    assert task["RestartPolicy"] == {"Condition": "none"}
    container = task["ContainerSpec"]
    assert container["Args"] == ["check"]
    assert container["Env"] == ["A=run", "B=file"]
    assert (container["TTY"], container["OpenStdin"]) == (True, True)
    assert task["Networks"] == [{"Aliases": ["web-run-0123456789ab"], "Target": "demo_default"}]
    assert {"team", "com.docker.compose.oneoff"} <= job.labels.keys()


def test_it_has_the_service_s_names_and_ports_if_asked(tmp_path: Path) -> None:
    found = project(tmp_path, _STACK)
    ports = (Port(target=80, published="8080"),)
    job = _job(found, OneOff("web", _SLUG, use_aliases=True, ports=ports, tty=False))
    (network,) = job.spec["TaskTemplate"]["Networks"]
    assert {"www", "web"} <= {*network["Aliases"]}
    assert job.spec["EndpointSpec"]["Ports"] == [
        {"PublishMode": "host", "PublishedPort": 8080, "TargetPort": 80}
    ]
    assert "OpenStdin" not in job.spec["TaskTemplate"]["ContainerSpec"]
    with pytest.raises(NotFound, match="no such service: none"):
        as_job(found, OneOff("none", _SLUG))


def test_it_is_no_orphan(tmp_path: Path) -> None:
    found = project(tmp_path, _STACK)
    job = _job(found, OneOff("web", _SLUG))
    there = ObservedDocument(job.kind, job.name, "j1", 1, job.spec, job.labels)
    rendered = Swarm().render(found, OLD)
    plan = reconcile_documents(rendered, Observation("demo", (there,)), Swarm())
    assert job.name not in str(plan)
