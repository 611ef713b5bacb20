"""A project as JSON values and back: the same services, without the content of secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from stackr.errors import InvalidArgument
from stackr.spec.archive import archived, combined, restored
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service

Load = Callable[..., Project]

STACK = """\
x-own: {a: 2020-01-01}
services:
  web:
    image: app
    command: [a, b]
    environment: {A: "1", B: }
    ports: ["8080:80/udp"]
    volumes: ["data:/data", "./x:/x:ro"]
    healthcheck: {test: t, interval: 90s}
    secrets: [key]
    configs: [text]
    x-stackr: {stateful: false}
  off: {image: app, profiles: [other]}
volumes: {data: {}}
networks: {default: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}
secrets: {key: {environment: KEY}}
configs: {text: {content: hello}}
"""


def through_json(project: Project, environment: dict[str, str] | None = None) -> Project:
    return restored(json.loads(json.dumps(archived(project))), environment or {})


def test_it_comes_back_as_it_was(project: Load) -> None:
    loaded = project(STACK, {"KEY": "secret"})
    back = through_json(loaded, {"KEY": "secret"})
    assert back.services == loaded.services
    for section in ("networks", "volumes", "secrets", "configs"):
        assert getattr(back, section) == getattr(loaded, section)
    assert (back.name, back.working_dir) == (loaded.name, loaded.working_dir)
    assert set(back.disabled_services) == {"off"}
    assert back.services["web"].stackr.stateful is False


def test_secrets_are_read_again(project: Load) -> None:
    loaded = project(STACK, {"KEY": "first-secret"})
    assert "first-secret" not in json.dumps(archived(loaded))
    assert through_json(loaded, {"KEY": "second"}).secrets["key"].content == "second"
    assert through_json(loaded).secrets["key"].content is None
    assert through_json(loaded).configs["text"].content == "hello"


def test_a_secret_of_a_file_is_no_variable_of_the_process(project: Load) -> None:
    text = "services: {web: {image: app, secrets: [pw]}}\nsecrets: {pw: {file: ./pw}}"
    back = restored(json.loads(json.dumps(archived(project(text)))), os.environ)
    assert back.secrets["pw"].file


@pytest.mark.parametrize(
    "archive", [{}, {"version": 99}, {"version": 1}, {"version": 1, "name": 3}]
)
def test_what_is_no_archive_is_refused(archive: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        restored(archive, {})


def test_what_is_not_named_again_stays(project: Load) -> None:
    earlier = archived(project("services: {a: {image: one}, b: {image: one}}"))
    later = archived(project("services: {b: {image: two}}"))
    services = restored(combined(earlier, later), {}).services
    assert {name: service.image for name, service in services.items()} == {"a": "one", "b": "two"}


def test_only_a_loaded_project_has_an_archive() -> None:
    with pytest.raises(TypeError):
        archived(Project(name="x", services={"a": Service(image="i")}))
