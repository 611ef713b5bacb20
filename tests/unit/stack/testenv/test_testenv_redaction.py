"""Secrets are masked wherever they occur, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

from planning import service, stack

from stackr.spec.model.build import Build
from stackr.spec.model.secret import FileObject
from stackr.stack.testenv.redaction import Redactor, redactor_of, secret_values


def test_values_of_secret_names_and_places(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN-----\nc2VjcmV0LWtleQ\n")
    project = stack(
        {
            "web": service(
                environment={"API_TOKEN": "tok-12345", "LEVEL": "debug-level"},
                build=Build(args={"NPM_TOKEN": "npm-98765"}),
            )
        },
        environment={"GITHUB_TOKEN": "ghp-abcdef", "FROM_ENV": "in-the-env", "PWD": "/some/where"},
        secrets={
            "inline": FileObject(content="inline-secret"),
            "file": FileObject(file=str(tmp_path / "key")),
            "gone": FileObject(file=str(tmp_path / "gone")),
            "env": FileObject(environment="FROM_ENV"),
        },
    )
    assert secret_values(project) == {
        *("tok-12345", "npm-98765", "ghp-abcdef", "inline-secret", "in-the-env"),
        *("-----BEGIN-----", "c2VjcmV0LWtleQ"),
    }


def test_what_the_stack_shows_openly_is_no_secret() -> None:
    project = stack(
        {
            "database": service(
                image="registry.example/library/postgres:16",
                environment={
                    "POSTGRES_USER": "tester",
                    "POSTGRES_PASSWORD": "tester",
                    "PASSWORD2": "postgres",
                    "PASSWORD3": "database",
                    "AUTH": "false",
                    "TOKEN": "abc",
                },
            )
        }
    )
    assert secret_values(project) == set()


def test_text() -> None:
    redactor = Redactor(["hunter2", "hunter22", "a.b*c"])
    assert redactor.text("is hunter22 or hunter2, not aXbbc but a.b*c") == (
        "is ******** or ********, not aXbbc but ********"
    )
    assert redactor.text("postgres://u:pw@db/x --password=letmein") == (
        "postgres://u:********@db/x --password=********"
    )
    assert Redactor().text("plain") == "plain"


def test_trees() -> None:
    redactor = Redactor(["hunter22"])
    spec = json.dumps({"environment": {"DB_PASSWORD": "x", "LEVEL": "info"}})
    tree = {
        "Env": ["API_KEY=k", "LEVEL=info", "URL=http://hunter22/"],
        "Labels": {"io.stackr.spec": spec, "token": "t"},
        "Number": 3,
        "Nothing": None,
        "Password": "",
    }
    shown = redactor.tree(tree)
    assert shown["Env"] == ["API_KEY=********", "LEVEL=info", "URL=http://********/"]
    assert json.loads(shown["Labels"]["io.stackr.spec"]) == {
        "environment": {"DB_PASSWORD": "********", "LEVEL": "info"}
    }
    assert shown["Labels"]["token"] == "********"
    assert (shown["Number"], shown["Nothing"], shown["Password"]) == (3, None, "")
    assert redactor.tree("{not json hunter22") == "{not json ********"


def test_a_redactor_of_a_project() -> None:
    project = stack({"web": service(environment={"API_TOKEN": "tok-12345"})})
    assert redactor_of(project).text("it is tok-12345!") == "it is ********!"
