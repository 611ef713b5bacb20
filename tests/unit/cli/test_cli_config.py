"""`stackr config`: its aspects, letter by letter as Docker Compose prints them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackr.cli.commands.config import ConfigArguments, run_config
from stackr.cli.options import GlobalOptions
from stackr.cli.targets import Targets
from stackr.errors import InvalidArgument, InvalidProject

Print = Callable[..., str]
_DIGEST = f"sha256:{'ab' * 32}"


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Print:
    monkeypatch.chdir(tmp_path)
    for name in ("COMPOSE_FILE", "COMPOSE_PROFILES", "DOCKER_DEFAULT_PLATFORM"):
        monkeypatch.delenv(name, raising=False)

    def config(text: str, /, *services: str, **arguments: Any) -> str:
        (tmp_path / "compose.yaml").write_text(text)
        written: list[str] = []
        made = replace(ConfigArguments(**arguments), targets=Targets(services=services))
        assert run_config(made, GlobalOptions(project_name="p"), written.append) == 0
        return "".join(written)

    return config


_TWO = f"""\
services:
  a: {{image: "busybox:1@{_DIGEST}", depends_on: [b], profiles: [x]}}
  b: {{build: .}}
volumes: {{v: }}
x-own: 1
"""


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, f"services:\n  a:\n    image: docker.io/library/busybox@{_DIGEST}\n  b: {{}}\n"),
        (
            {"interpolate": False},
            f"services:\n  a:\n    image: docker.io/library/busybox@{_DIGEST}\n  b: {{}}\n",
        ),
        (
            {"interpolate": False, "format": "json"},
            '{\n  "services": {\n    "a": {\n      "image": '
            f'"docker.io/library/busybox@{_DIGEST}"\n    }},\n    "b": {{}}\n  }}\n}}\n',
        ),
    ],
)
def test_the_locked_digests(printed: Print, arguments: dict[str, Any], wanted: str) -> None:
    text = _TWO.replace(", profiles: [x]", "")
    assert printed(text, lock_image_digests=True, **arguments) == wanted


def test_the_locked_digests_as_json_have_what_a_service_always_has(printed: Print) -> None:
    text = printed(_TWO, lock_image_digests=True, format="json")
    assert '"name": ""' in text
    assert '"command": null' in text


@pytest.mark.parametrize(
    ("show", "services", "wanted"),
    [
        ("services", (), "b\n"),
        ("images", (), "p-b\n"),
        ("images", ("a",), f"busybox:1@{_DIGEST}\np-b\n"),
        ("profiles", (), "x\n"),
        ("volumes", (), ""),
        ("networks", (), "default\n"),
    ],
)
def test_the_lists(printed: Print, show: str, services: tuple[str, ...], wanted: str) -> None:
    assert printed(_TWO, *services, **{show: True}) == wanted


def test_the_variables(printed: Print) -> None:
    text = "services: {a: {image: '${A:-x}${B:?no}${C+y}'}}"
    assert printed(text, variables=True) == (
        "NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE\n"
        "A                   false               x                   \n"
        "B                   true                                    \n"
        "C                   false                                   y\n"
    )
    assert printed(text, variables=True, format="yaml").startswith("A:\n    name: A\n")
    assert '"DefaultValue": "x"' in printed(text, variables=True, format="json")


def test_a_service_cannot_be_hashed_for_a_platform_that_is_not_built(printed: Print) -> None:
    text = "services: {a: {platform: x, build: {context: ., platforms: [y]}}}"
    with pytest.raises(InvalidProject, match="does not support platform: x"):
        printed(text, hash="*", check_consistency=False)


def test_dollars_are_doubled_where_they_would_be_read_again(printed: Print) -> None:
    text = "services: {a: {image: 'i$$x'}}"
    assert "image: i$$x\n" in printed(text)
    assert "image: i$$x\n" in printed(text, interpolate=False)


def test_without_interpolation_no_secret_of_the_environment_is_printed(
    printed: Print, tmp_path: Path
) -> None:
    (tmp_path / "i.yaml").write_text("secrets: {s: {environment: S}}")
    (tmp_path / ".env").write_text("S=hidden\n")
    text = "include: [i.yaml]\nservices: {a: {image: i, secrets: [s]}}"
    assert "hidden" not in printed(text, interpolate=False)
    assert "hidden" not in printed(text)


def test_it_is_quiet_or_saved(printed: Print, tmp_path: Path) -> None:
    assert printed(_TWO, quiet=True) == ""
    assert printed(_TWO, output="out.yaml") == ""
    assert (tmp_path / "out.yaml").read_text().startswith("name: p\nservices:\n  b:\n")


def test_an_unknown_format() -> None:
    with pytest.raises(InvalidArgument, match="unsupported format"):
        ConfigArguments(format="xml")
