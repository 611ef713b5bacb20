"""The workflow of docs/diff.md, step by step: what a pull request's comment and annotations say.

`gh` is a stand-in that keeps what it is called with; git, stackr and the shell are real.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e

DOCS = Path(__file__).parents[2] / "docs" / "diff.md"
BIN = Path(sys.executable).parent
BASE = "services:\n  web:\n    image: app:1\n"
GH = """\
#!/bin/sh
echo "$@" >> "$GH_CALLS"
case "$*" in *--paginate*) echo "$GH_FOUND" ;; esac
"""


def steps() -> dict[str, dict[str, object]]:
    text = DOCS.read_text(encoding="utf-8")
    block = text.split("```yaml\nname: stack\n", 1)[1].split("```", 1)[0]
    workflow = yaml.safe_load(block)
    return {step["name"]: step for step in workflow["jobs"]["diff"]["steps"] if "name" in step}


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A branch that changes the image, and was left behind by main, which has a new service."""
    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    upstream.mkdir()
    git(upstream, "init", "-q")
    (upstream / "deploy").mkdir()
    stack = upstream / "deploy" / "compose.yaml"
    stack.write_text(BASE)
    git(upstream, "add", ".")
    git(upstream, "commit", "-qm", "first")
    git(tmp_path, "clone", "-q", str(upstream), str(clone))
    git(clone, "remote", "set-url", "origin", "https://x:secret@github.com/o/r.git")
    stack.write_text(BASE + "  late:\n    image: late:1\n")
    git(upstream, "commit", "-qam", "main goes on")
    git(clone, "fetch", "-q", str(upstream), "main:refs/remotes/origin/main")
    (clone / "deploy" / "compose.yaml").write_text(BASE.replace("app:1", "app:2"))
    git(clone, "commit", "-qam", "ours")
    return clone


def run(step: str, folder: Path, tmp_path: Path, **environ: str) -> str:
    """A step's output; its own `env` is given by the caller, as GitHub fills it in."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    gh = tmp_path / "bin" / "gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    path = f"{gh.parent}:{BIN}:{os.environ['PATH']}"
    calls = {"GH_CALLS": str(tmp_path / "calls"), "PATH": path, "STACKR_WARM": "0"}
    script = str(steps()[step]["run"])
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **calls, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_workflow(checkout: Path, tmp_path: Path) -> None:
    folder = checkout / "deploy"
    shown = run("Compare", folder, tmp_path, BASE="origin/main...")
    assert "::notice file=deploy/compose.yaml,line=3,col=12,title=" in shown
    assert "late" not in shown
    comment = (folder / "comment.md").read_text()
    assert "](https://github.com/o/r/blob/" in comment
    assert "deploy/compose.yaml#L3)" in comment
    assert "secret" not in comment
    pull = {"GH_TOKEN": "t", "REPOSITORY": "o/r", "NUMBER": "7"}
    run("Comment", folder, tmp_path, GH_FOUND="", **pull)
    run("Comment", folder, tmp_path, GH_FOUND="11", **pull)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if "--paginate" not in call] == [
        "api --method POST repos/o/r/issues/7/comments -F body=@comment.md",
        "api --method PATCH repos/o/r/issues/comments/11 -F body=@comment.md",
    ]


def test_revisions_that_never_met_are_told(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--orphan", "apart")
    git(checkout, "commit", "-qm", "apart")
    command = [str(BIN / "stackr"), "-f", "deploy/compose.yaml", "diff", "--base", "origin/main..."]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no common commit: origin/main..." in done.stderr
