"""Where values come from: files in their order, variables, env files, defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackr.spec.dotenv import places
from stackr.spec.load import Loaded, LoadOptions, load_tree, resolve
from stackr.spec.model.project import Project
from stackr.spec.positions import Place
from stackr.spec.provenance import Provenance, trace
from stackr.spec.rules import parse
from stackr.spec.variables import mentions, variable_sources

Write = Callable[[dict[str, str]], Path]
Load = Callable[..., Project]

FILES = {
    "compose.yaml": """\
x-env: &env {SHARED: 1}
include: [inc/i.yaml]
services:
  web:
    extends: {file: base.yaml, service: web}
    image: "nginx:${TAG:-1}"
    environment:
      <<: *env
      LEVEL: warn
      BARE:
      NO: "${UNSET}"
    env_file: [web.env]
    label_file: labels
    ports: ["8080:80", {target: 90}]
    build: ./ctx
    depends_on: [i]
    dns: 1.1.1.1
    hostname:
""",
    "compose.override.yaml": """\
services:
  web:
    environment: ["LEVEL=${LEVEL:-info}"]
    ports: ["7070:70", "8080:80"]
    cap_add: !override [B]
    command: !reset null
    hostname:
""",
    "base.yaml": """\
services:
  web:
    extends: {service: deep}
    image: old
    command: [a, b]
    cap_add: [A]
    environment: {LEVEL: trace}
    hostname: h
  deep:
    user: u
    environment: [DEEP=1]
""",
    "inc/i.yaml": 'services: {i: {image: "i:${INNER}-${TAG}"}}\nnetworks: {n: {driver: bridge}}\n',
    "inc/.env": "INNER=inner\nTAG=no\n",
    "web.env": "# c\nLEVEL=file\nEXTRA=1\nEXTRA=2\n",
    "labels": "l=1\n",
    ".env": "LEVEL=debug\nTAG=9\nBARE=b\n",
}


@pytest.fixture
def loaded(write: Write) -> Callable[..., Loaded]:
    def load_files(env: dict[str, str] | None = None, **options: Any) -> Loaded:
        loaded = load_tree(LoadOptions(**options), env or {}, write(FILES))
        resolve(loaded)
        return loaded

    return load_files


def _found(loaded: Loaded, path: str) -> list[str]:
    return [_text(loaded, each) for each in trace(loaded, parse(path))]


def _text(loaded: Loaded, found: Provenance) -> str:
    place = Place(found.file, found.line, found.column)
    where = f"{loaded.session.sources.relative(place)} " if found.file else ""
    return f"{where}{found.via}: {found.text}"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (
            "services.web.environment.LEVEL",
            [
                "compose.override.yaml:3:19 override: LEVEL=${LEVEL:-info}",
                "compose.yaml:9:14 file: warn",
                "base.yaml:7:26 extends: trace",
                "web.env:2:1 env_file: LEVEL=file",
            ],
        ),
        ("services.web.environment.SHARED", ["compose.yaml:1:22 file: 1"]),
        ("services.web.environment.DEEP", ["base.yaml:11:19 extends: DEEP=1"]),
        ("services.web.environment.BARE", ["compose.yaml:10:12 variable: "]),
        (
            "services.web.environment.EXTRA",
            ["web.env:4:1 env_file: EXTRA=2", "web.env:3:1 env_file: EXTRA=1"],
        ),
        ("services.web.labels.l", ["labels:1:1 label_file: l=1"]),
        (
            "services.web.image",
            ["compose.yaml:6:12 file: nginx:${TAG:-1}", "base.yaml:4:12 extends: old"],
        ),
        ("services.web.user", ["base.yaml:10:11 extends: u"]),
        ("services.web.hostname", ["base.yaml:8:15 extends: h"]),
        ("services.web.build.context", ["compose.yaml:15:12 file: ./ctx"]),
        ("services.web.build.dockerfile", ["default: None"]),
        ("services.web.depends_on.i.condition", ["compose.yaml:16:18 file: i"]),
        ("services.web.depends_on.i.restart", ["default: None"]),
        ("services.web.dns[0]", ["compose.yaml:17:10 file: 1.1.1.1"]),
        (
            "services.web.ports[0].published",
            ["compose.override.yaml:4:24 override: 8080:80", "compose.yaml:14:13 file: 8080:80"],
        ),
        ("services.web.ports[1].target", ["compose.yaml:14:33 file: 90"]),
        ("services.web.ports[1].mode", ["default: None"]),
        ("services.web.ports[2]", ["compose.override.yaml:4:13 override: 7070:70"]),
        ("services.web.cap_add[0]", ["compose.override.yaml:5:25 override: B"]),
        (
            "services.web.command[1]",
            ["compose.override.yaml:6:14 override: null", "base.yaml:5:14 extends: None"],
        ),
        ("services.i.image", ["inc/i.yaml:1:23 include: i:${INNER}-${TAG}"]),
        ("networks.n.driver", ["inc/i.yaml:2:24 include: bridge"]),
        ("networks.default.name", ["default: None"]),
        ("name", ["default: proj"]),
    ],
)
def test_a_value_has_its_places(
    loaded: Callable[..., Loaded], path: str, wanted: list[str]
) -> None:
    assert _found(loaded(), path) == wanted


def _variables(loaded: Loaded, path: str) -> list[list[str]]:
    first = trace(loaded, parse(path))[0]
    return [
        [
            f"{each.via} {each.value} "
            f"{loaded.session.sources.relative(Place(each.file, each.line, each.column))}"
            for each in sources
        ]
        for sources in first.variables
    ]


def test_a_variable_has_its_own_places(loaded: Callable[..., Loaded]) -> None:
    found = loaded()
    assert _variables(found, "services.web.environment.LEVEL") == [
        ["env_file debug .env:1:1", "default info compose.override.yaml:3:26"]
    ]
    assert _variables(found, "services.web.environment.BARE") == [["env_file b .env:3:1"]]
    assert _variables(found, "services.web.environment.NO") == [["unset None :0:0"]]
    assert _variables(found, "services.i.image") == [
        ["env_file inner inc/.env:1:1"],
        ["env_file 9 .env:2:1", "env_file None inc/.env:2:1"],
    ]


def test_the_shell_wins_over_env_files_and_these_over_defaults(
    loaded: Callable[..., Loaded],
) -> None:
    found = loaded({"TAG": "shell"})
    assert _variables(found, "services.web.image") == [
        ["shell shell :0:0", "env_file None .env:2:1", "default 1 compose.yaml:6:19"]
    ]
    found = loaded({"TAG": ""})
    assert _variables(found, "services.web.image")[0][0] == "default 1 compose.yaml:6:19"


def test_env_files_that_are_named_count_from_the_last(write: Write) -> None:
    folder = write({"compose.yaml": "services: {a: {image: '$X'}}", "e": "X=1", "f": "X=2\nX=3"})
    found = load_tree(LoadOptions(env_files=("e", "f")), {}, folder)
    lines = [(source.line, source.text, source.value) for source in variable_sources(found, "X")]
    assert lines == [(2, "X=3", "3"), (1, "X=2", None), (1, "X=1", None)]


@pytest.mark.parametrize(
    ("options", "env", "via"),
    [
        ({"project_name": "p"}, {"COMPOSE_PROJECT_NAME": "q"}, ["option", "variable", "default"]),
        ({}, {"COMPOSE_PROJECT_NAME": "q"}, ["variable", "default"]),
    ],
)
def test_the_projects_name(
    loaded: Callable[..., Loaded], options: dict[str, Any], env: dict[str, str], via: list[str]
) -> None:
    assert [each.via for each in trace(loaded(env, **options), ("name",))] == via


def test_where_a_variable_is_used(loaded: Callable[..., Loaded]) -> None:
    found = mentions(loaded(), "TAG")
    assert [(each.path, each.line, len(each.words)) for each in found] == [
        (("services", "web", "image"), 6, 1),
        (("services", "i", "image"), 1, 0),
    ]


def test_alternatives_and_nested_words(write: Write) -> None:
    text = "services: {a: {image: 'i${A:+alt}${B:-${C:-c}}', user: '${A-x}'}}"
    found = load_tree(LoadOptions(), {"A": "1"}, write({"compose.yaml": text}))
    (first,) = trace(found, parse("services.a.image"))
    assert [(sources[0].name, sources[0].via, sources[0].value) for sources in first.variables] == [
        ("A", "alternate", "alt"),
        ("B", "default", "${C:-c}"),
        ("C", "default", "c"),
    ]
    assert [each.words[0].value for each in mentions(found, "A")] == ["alt", "x"]


def test_a_project_tells_it_too(project: Load) -> None:
    loaded = project(FILES)
    found = loaded.provenance("services.web.environment.LEVEL")
    assert found is not None
    assert (found.via, found.line, found.variables[0][0].value) == ("override", 3, "debug")
    assert loaded.provenance(("services", "web", "labels", "l")) is not None
    assert Project(name="x").provenance("name") is None


def test_a_problem_is_shown_where_the_value_counts(problems: Callable[..., list[str]]) -> None:
    """Not in the file that was read last, though it has a service of the same name."""
    files = {
        "compose.yaml": "services: {a: {extends: {file: base.yaml, service: a}, mem_limit: x}}",
        "base.yaml": "services: {a: {image: i, mem_limit: 1g}}",
    }
    (problem,) = problems(files)
    assert problem.startswith("compose.yaml:1:67: services.a.mem_limit")


def test_the_places_of_variables_in_an_env_file() -> None:
    text = "\ufeffA=1\n export B='x\ny'\nA=2 # c\nC\nD=${X:?}\nE E=1\n"
    assert places(text) == {
        "A": [(1, 1), (4, 1)],
        "B": [(2, 9)],
        "C": [(5, 1)],
        "D": [(6, 1)],
    }
