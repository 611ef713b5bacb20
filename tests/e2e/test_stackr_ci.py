"""What the GitHub Action and the GitLab template run, step by step, as it stands in them.

Their installation is `scripts/setup`, which every run of the tests begins with.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from stackr_stack import STACKR, Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
STACK = """\
    services:
      web: {image: "${IMAGE}", command: sleep 1000, stop_grace_period: 0s}
    """
COMMAND = 'test -n "$STACKR_WEB_7000_PORT"; echo kept >"$STACKR_ARTIFACTS/result"; pwd; exit 3'


def run(stack: Stack, script: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = f"{Path(STACKR).parent}:{stack.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=stack.folder,
        env={**stack.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def check(stack: Stack, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 3, done.stderr
    assert str(stack.folder) in done.stdout
    assert (stack.folder / "out" / "command" / "result").read_text() == "kept\n"
    assert (stack.folder / "out" / "junit.xml").exists()


def test_the_action(stack: Stack) -> None:
    action: Any = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = {name: each.get("default", "") for name, each in action["inputs"].items()}
    inputs |= {"command": COMMAND, "options": "--publish web:7000", "artifacts": "out"}
    stack.write(STACK)
    install, test, keep = action["runs"]["steps"]
    assert install["run"] == '"$GITHUB_ACTION_PATH/packaging/ci/install" >>"$GITHUB_PATH"'
    assert keep["uses"].startswith("actions/upload-artifact@")
    assert keep["with"]["name"] == "stackr-${{ github.job }}-${{ strategy.job-index }}"

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)

    variables = {name: filled(text) for name, text in test["env"].items()}
    check(stack, run(stack, test["run"], {**variables, "GITHUB_ACTION_PATH": str(ROOT)}))
    assert filled(keep["with"]["path"]) == "./out"


def test_the_template(stack: Stack) -> None:
    job: Any = yaml.safe_load((ROOT / "packaging/ci/gitlab.yml").read_text())[".stackr-test"]
    given = {"STACKR_COMMAND": COMMAND, "STACKR_OPTIONS": "--publish web:7000"}
    stack.write(STACK)
    (stack.folder / ".stackr").symlink_to(ROOT)
    variables = {**job["variables"], **given, "STACKR_FOLDER": "out"}
    check(stack, run(stack, "\n".join(job["script"]), variables))
