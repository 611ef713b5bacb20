"""What builds change against a git revision, or another folder; no engine is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stackr.planner.desired.project import desired
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.spec.session import LoadOptions
from stackr.stack.diff import plan_against_base
from stackr.stack.source import Source

FILE = """\
name: shop
services:
  base:
    scale: 0
    build: {dockerfile_inline: "FROM x\\nRUN one"}
  web:
    build: {context: web, additional_contexts: {common: "service:base"}, args: {VERSION: "1"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "stack"
    (folder / "web").mkdir(parents=True)
    (folder / "compose.yaml").write_text(FILE)
    (folder / "web/Dockerfile").write_text("FROM common\nARG VERSION\nCOPY . /src\nRUN make\n")
    (folder / "web/.dockerignore").write_text("*.log\n")
    (folder / "web/app").write_text("one")
    (folder / "web/run").write_text("one")
    (folder / "web/run").chmod(0o700)
    (folder / "web/link").symlink_to("app")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    return folder


def plan(folder: Path, base: str) -> Plan:
    source = Source(LoadOptions(), {"PATH": os.environ["PATH"]}, folder)
    project = source.load()
    return plan_against_base(base, source, project, desired(project), UpOptions())


def causes(folder: Path, base: str = "HEAD") -> dict[str, str]:
    return {each.resource.name: each.cause for each in plan(folder, base).changes}


def test_nothing_is_different_at_the_revision_itself(folder: Path) -> None:
    (folder / "web/left.log").write_text("")
    assert causes(folder) == {}


def test_files_arguments_and_what_is_built_on(folder: Path) -> None:
    (folder / "web/app").write_text("two")
    (folder / "web/new").write_text("")
    assert causes(folder) == {
        "shop-web": "app changed, new is new; from COPY . /src (line 3) on, 1 step follows",
        "shop-web-1": "image changed",
    }
    text = FILE.replace("RUN one", "RUN two").replace('VERSION: "1"', 'VERSION: "2"')
    (folder / "compose.yaml").write_text(text)
    found = causes(folder)
    assert found["shop-base"] == "Dockerfile:2 changed; from RUN two (line 2) on"
    assert "ARG VERSION 1 → 2" in found["shop-web"]
    assert "base image shop-base moved" in found["shop-web"]


def test_another_folder_is_a_base_as_well(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other, symlinks=True)
    assert causes(folder, str(other)) == {}
    (other / "web/run").chmod(0o600)
    assert causes(folder, str(other))["shop-web"].startswith("run has mode 0755")
