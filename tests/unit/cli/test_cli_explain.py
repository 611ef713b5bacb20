"""`stackr explain`: targets, what is printed, and what is masked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackr.cli.commands.explain import run_explain
from stackr.cli.main import run
from stackr.cli.options import GlobalOptions
from stackr.errors import InvalidArgument, NotFound

_STACK = """\
services:
  web:
    image: "nginx:${TAG:-1}"
    command: [run, fast]
    environment:
      LEVEL: info
      a.b: dotted
      DB_PASSWORD: hunter2
      DB_URL: "postgres://u:${DB_PASSWORD}@h/x"
      API_TOKEN: "${API_TOKEN:-secret-default}"
    labels: {x: "${DB_PASSWORD}"}
    ports: ["80:80"]
    profiles: [p]
  web.two: {image: i, env_file: [e]}
networks:
  front: {driver: bridge}
"""


@pytest.fixture(autouse=True)
def _stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compose.yaml").write_text(_STACK)
    (tmp_path / ".env").write_text("DB_PASSWORD=hidden\n")
    (tmp_path / "e").write_text("MY_SECRET=hidden\nX=1\n")
    monkeypatch.chdir(tmp_path)
    for name in ("TAG", "DB_PASSWORD", "API_TOKEN", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)


def _explain(*targets: str) -> str:
    written: list[str] = []
    assert run_explain(targets, "text", GlobalOptions(), written.append) == 0
    return "".join(written)


def _as_json(*targets: str) -> Any:
    written: list[str] = []
    run_explain(targets, "json", GlobalOptions(), written.append)
    return json.loads("".join(written))


def test_the_text() -> None:
    assert _explain("web.image", "networks.front.driver") == (
        "services.web.image: nginx:1\n"
        "  from  compose.yaml:3:12  nginx:${TAG:-1}\n"
        "        $TAG: 1\n"
        "          from  compose.yaml:3:19  default  1\n"
        "\n"
        "networks.front.driver: bridge\n"
        "  from  compose.yaml:16:19  bridge\n"
    )


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAG", "2")
    assert _explain("$TAG") == _explain("${TAG}")
    assert _explain("$TAG") == (
        "$TAG: 2\n"
        "  from  shell\n"
        "  over  compose.yaml:3:19  default  1\n"
        "  used  compose.yaml:3:12  services.web.image\n"
    )


@pytest.mark.parametrize(
    ("target", "subjects"),
    [
        ("web.environment.a.b", ["services.web.environment.a.b"]),
        ("services.web.environment.a.b", ["services.web.environment.a.b"]),
        ("web.two.image", ["services.web.two.image"]),
        ("web.ports[0]", ["services.web.ports[0]"]),
        ("web.ports.0.target", ["services.web.ports[0].target"]),
        ("web.command", ["services.web.command"]),
        ("web.labels", ["services.web.labels.x"]),
        ("web.two.env_file", ["services.web.two.env_file[0]"]),
        ("networks.front", ["networks.front.driver", "networks.front.name"]),
        ("name", ["name"]),
    ],
)
def test_what_a_target_means(target: str, subjects: list[str]) -> None:
    assert [each["subject"] for each in _as_json(target)] == subjects


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("web.imge", 'did you mean "image"?'),
        ("wbe.image", 'did you mean "web"?'),
        ("networks.frnt.driver", 'did you mean "front"?'),
        ("web.ports[3]", None),
        ("$TGA", None),
    ],
)
def test_what_is_not_there(target: str, hint: str | None) -> None:
    with pytest.raises(NotFound) as caught:
        _explain(target)
    assert hint is None or caught.value.hint == hint


def test_nothing_to_explain() -> None:
    with pytest.raises(InvalidArgument, match="name a value"):
        _explain()


def test_what_looks_secret_is_masked() -> None:
    targets = ("web", "web.two.environment", "$DB_PASSWORD", "$API_TOKEN")
    for text in (_explain(*targets), json.dumps(_as_json(*targets))):
        for secret in ("hunter2", "hidden", "secret-default"):
            assert secret not in text
    assert "MY_SECRET=********" in _explain("web.two.environment.MY_SECRET")
    assert "from  compose.yaml:11:17  ${DB_PASSWORD}" in _explain("web.labels.x")


def test_what_a_file_drops_is_told(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text("services: {web: {command: !reset null}}")
    assert _explain("web.command") == (
        "services.web.command: not set\n"
        "  from  compose.override.yaml:1:27  override file  null\n"
        "  over  compose.yaml:4:14\n"
    )


def test_the_json() -> None:
    (tag,) = _as_json("web.image")
    assert tag == {
        "subject": "services.web.image",
        "value": "nginx:1",
        "secret": False,
        "from": {
            "via": "file",
            "file": "compose.yaml",
            "line": 3,
            "column": 12,
            "text": "nginx:${TAG:-1}",
            "variables": [
                {
                    "subject": "$TAG",
                    "value": "1",
                    "secret": False,
                    "from": {
                        "via": "default",
                        "file": "compose.yaml",
                        "line": 3,
                        "column": 19,
                        "text": "1",
                        "variables": [],
                    },
                    "over": [],
                }
            ],
        },
        "over": [],
    }
    (found,) = _as_json("$TAG")
    assert found["used"] == [
        {"path": "services.web.image", "file": "compose.yaml", "line": 3, "column": 12}
    ]


def test_the_command(capfdbinary: pytest.CaptureFixture[bytes]) -> None:

    assert run(["explain", "networks.front.driver"]) == 0
    assert run(["explain", "$NONE_SUCH"]) == 1
    shown, failed = capfdbinary.readouterr()
    assert shown == b"networks.front.driver: bridge\n  from  compose.yaml:16:19  bridge\n"
    assert failed.startswith(b"stackr: $NONE_SUCH: not set, and the stack does not use it")


def test_nothing_of_a_file_acts_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    label = r'"k\e[8m": "\e[2J\e[8mhidden"'
    text = f"services:\n  a:\n    image: x\n    labels: {{{label}}}\n"
    (tmp_path / "compose.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert run(["explain", "a"]) == 0
    shown = capfd.readouterr().out
    assert "\\u001b[2J\\u001b[8mhidden" in shown
    assert "\x1b" not in shown
