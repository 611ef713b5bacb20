"""What files hold counts: of configs, secrets and profiles, and of what is bound read-only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.planner.desired.contents import MOST_BOUND_BYTES
from stackr.planner.desired.project import Desired, desired
from stackr.planner.review.compare import compare
from stackr.spec.load import LoadOptions, load
from stackr.stack.address import is_of_this_machine

STACK = """\
services:
  web:
    image: app
    volumes:
      - ./files/conf:/etc/conf:ro
      - ./files/log:/var/log/it
      - ./files:/srv:ro
      - {outside}:/etc/outside:ro
    configs: [{{source: conf, target: /c}}]
    secrets: [word]
    security_opt: ["seccomp=files/profile.json", "no-new-privileges"]
configs: {{conf: {{file: files/config}}}}
secrets: {{word: {{file: files/secret}}}}
"""


@pytest.fixture
def wanted(tmp_path: Path) -> Callable[..., Desired]:
    """The stack as its files are now; each holds its own name at first."""
    folder = tmp_path / "project"
    (folder / "files").mkdir(parents=True)
    for name in ("conf", "log", "config", "secret", "profile.json"):
        (folder / "files" / name).write_text(f'"{name}"')
    (tmp_path / "outside").write_text("outside")
    (folder / "compose.yaml").write_text(STACK.format(outside=tmp_path / "outside"))

    def read(bound_files: bool = True) -> Desired:
        return desired(load(LoadOptions(), {}, folder), bound_files=bound_files)

    return read


def paths(before: Desired, after: Desired) -> list[str]:
    return [field.path for change in compare(before, after).changes for field in change.fields]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("conf", ["volumes[/etc/conf].sha256"]),
        ("config", ["configs[conf].sha256"]),
        ("secret", ["secrets[word].sha256"]),
        ("profile.json", ["security_opt"]),
        ("log", []),
        ("../../outside", []),
    ],
)
def test_a_file_that_holds_something_else(
    wanted: Callable[..., Desired], tmp_path: Path, name: str, path: list[str]
) -> None:
    before = wanted()
    (tmp_path / "project" / "files" / name).write_text('"something else"')
    assert paths(before, wanted()) == path


def test_files_of_another_machine_do_not_count(
    wanted: Callable[..., Desired], tmp_path: Path
) -> None:
    before = wanted(bound_files=False)
    (tmp_path / "project/files/conf").write_text("something else")
    assert paths(before, wanted(bound_files=False)) == []


def test_a_large_file_does_not_count(wanted: Callable[..., Desired], tmp_path: Path) -> None:
    file = tmp_path / "project/files/conf"
    file.write_bytes(b"a" * (MOST_BOUND_BYTES + 1))
    before = wanted()
    file.write_bytes(b"b" * (MOST_BOUND_BYTES + 1))
    assert paths(before, wanted()) == []
    file.unlink()
    assert paths(before, wanted()) == []


@pytest.mark.parametrize(
    ("engine", "docker_host", "is_here"),
    [
        (None, None, True),
        ("embedded", "tcp://far:2375", True),
        ("docker", None, True),
        ("docker", "unix:///run/x.sock", True),
        ("docker", "tcp://far:2375", False),
        ("unix:///x", None, True),
        ("ssh://far", None, False),
        ("tcp://far:2375", None, False),
    ],
)
def test_where_an_engine_mounts_from(
    monkeypatch: pytest.MonkeyPatch, engine: str | None, docker_host: str | None, is_here: bool
) -> None:
    monkeypatch.delenv("STACKR_ENGINE", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if docker_host is not None:
        monkeypatch.setenv("DOCKER_HOST", docker_host)
    assert is_of_this_machine(engine) is is_here
