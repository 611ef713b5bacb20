"""`pre_start`: how its steps are read, merged, filled in and written out.

Source: Compose Specification, "pre_start"; compose-go, loader/normalize.go and its tests.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stackr.spec.load import LoadOptions, load, load_tree, resolve
from stackr.spec.model.project import Project
from stackr.spec.model.service import InitStep
from stackr.spec.render import project_tree

Load = Callable[..., Project]
Refused = Callable[..., list[str]]
Write = Callable[[dict[str, str]], Path]

FILE = """\
services:
  test:
    image: alpine
    pre_start:
      - command: ["./manage.py", "migrate"]
        user: root
        working_dir: /app
        environment:
          - FOO=BAR
          - UNSET
      - image: busybox
        command: sh -c 'chown -R 1000:1000 /data'
        privileged: true
        per_replica: "${EACH}"
      - image: migrator:latest
"""


def test_steps_are_read_in_their_order(project: Load) -> None:
    assert project(FILE, {"EACH": "true"}).services["test"].pre_start == (
        InitStep(
            command=("./manage.py", "migrate"),
            image="alpine",
            user="root",
            working_dir="/app",
            environment={"FOO": "BAR", "UNSET": None},
        ),
        InitStep(
            command=("sh", "-c", "chown -R 1000:1000 /data"),
            image="busybox",
            privileged=True,
            per_replica=True,
        ),
        InitStep(image="migrator:latest"),
    )


def test_a_step_without_an_image_has_the_services_where_that_has_a_name(project: Load) -> None:
    text = """\
        services:
          built: {build: ., pre_start: [{command: init}]}
          both: {image: ubuntu, build: ., pre_start: [{command: init}]}
        """
    services = project(text).services
    assert services["built"].pre_start[0].image is None
    assert services["both"].pre_start[0].image == "ubuntu"


def test_steps_of_further_files_and_of_an_extended_service_are_appended(
    project: Load,
) -> None:
    files = {
        "compose.yaml": "services:\n  base: {image: i, pre_start: [{command: a}]}\n"
        "  web: {extends: base, image: j, pre_start: [{command: b}]}",
        "compose.override.yaml": "services: {web: {pre_start: [{command: c, image: k}]}}",
    }
    steps = project(files).services["web"].pre_start
    assert [(step.command, step.image) for step in steps] == [
        (("a",), "j"),
        (("b",), "j"),
        (("c",), "k"),
    ]


def test_steps_are_written_as_they_are_read_again(write: Write) -> None:
    folder = write({"compose.yaml": FILE})
    loaded = load_tree(LoadOptions(), {"EACH": "false"}, folder)
    shown = project_tree("test", resolve(loaded), yaml=True)
    steps: list[dict[str, Any]] = shown["services"]["test"]["pre_start"]
    assert steps == [
        {
            "command": ["./manage.py", "migrate"],
            "image": "alpine",
            "user": "root",
            "working_dir": "/app",
            "environment": {"FOO": "BAR", "UNSET": None},
        },
        {
            "command": ["sh", "-c", "chown -R 1000:1000 /data"],
            "image": "busybox",
            "privileged": True,
        },
        {"image": "migrator:latest"},
    ]


def test_where_a_value_of_a_step_comes_from(write: Write) -> None:
    project = load(LoadOptions(), {"EACH": "true"}, write({"compose.yaml": FILE}))
    place = project.position("services.test.pre_start[1].privileged")
    assert str(place).endswith("compose.yaml:13:21")


def test_what_a_step_cannot_have_is_told_with_its_place(problems: Refused) -> None:
    text = "services:\n  a:\n    image: i\n    pre_start:\n      - {comand: x}\n"
    (problem,) = problems(text)
    assert "compose.yaml:5:10: services.a.pre_start[0].comand" in problem
    (kind,) = problems("services: {a: {image: i, pre_start: {command: x}}}")
    assert "services.a.pre_start: must be a list" in kind
