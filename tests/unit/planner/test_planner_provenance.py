"""Each changed value of a plan says where it is written, and how it came from there."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from stackr.planner.desired.project import desired
from stackr.planner.plan.model import FieldChange
from stackr.planner.review.compare import compare
from stackr.planner.review.provenance import with_sources
from stackr.spec.load import load
from stackr.spec.session import LoadOptions

FILES = {
    "compose.yaml": """\
        include: [shared/db.yaml]
        services:
          web:
            image: app:1
            extends: {file: base.yaml, service: common}
            env_file: web.env
            labels:
              org.example.tier: front
            environment:
              LEVEL: ${LEVEL}
              TITLE: ${TITLE:-Guestbook}
              USER_NAME: hello ${WHO} of ${COMPOSE_PROJECT_NAME}
            volumes:
              - data:/data
              - type: tmpfs
                target: /scratch
                read_only: true
        volumes: {data: {}}
        """,
    "compose.override.yaml": """\
        services:
          web:
            command: serve
        """,
    "base.yaml": """\
        services:
          common:
            working_dir: /srv
        """,
    "shared/db.yaml": """\
        services:
          db:
            image: db:2
            user: postgres
        """,
    "web.env": "FROM_FILE=one\n",
    ".env": "# variables\nLEVEL=debug\n",
}
BASE = """\
    services:
      web: {image: "app:0", volumes: ["data:/data"]}
      db: {image: "db:2"}
    volumes: {data: {}}
    """


@pytest.fixture
def fields(tmp_path: Path) -> dict[str, FieldChange]:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "compose.yaml").write_text(textwrap.dedent(BASE))
    options = LoadOptions(project_name="demo")
    before = load(options, environ={}, cwd=tmp_path / "base")
    project = load(options, environ={"WHO": "all"}, cwd=tmp_path)
    wanted = desired(project)
    plan = with_sources(compare(desired(before), wanted), wanted, project)
    return {field.path: field for change in plan.changes for field in change.fields}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("image", "compose.yaml:4"),
        ("command", "compose.override.yaml:3, override file"),
        ("working_dir", "base.yaml:3, extended"),
        ("user", "shared/db.yaml:4, included"),
        ("labels.org.example.tier", "compose.yaml:8"),
        ("environment.FROM_FILE", "web.env:1, env file"),
        ("environment.LEVEL", "compose.yaml:10, $LEVEL from .env:2"),
        ("environment.TITLE", "compose.yaml:11, the default of $TITLE"),
        (
            "environment.USER_NAME",
            "compose.yaml:12, $WHO from the environment, "
            "$COMPOSE_PROJECT_NAME is the project's name",
        ),
        ("volumes[/scratch]", "compose.yaml:15"),
    ],
)
def test_sources(fields: dict[str, FieldChange], path: str, source: str) -> None:
    assert str(fields[path].source) == source
