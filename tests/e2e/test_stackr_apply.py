"""`stackr diff --out` and `stackr apply`: what was approved is carried out, or nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stackr_stack import Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        environment: {LEVEL: "${LEVEL:-info}", API_TOKEN: "${TOKEN:-first-one}"}
      db:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
    """


@pytest.fixture
def planned(stack: Stack) -> Path:
    """A stack that is up, and a saved plan that changes `web`."""
    stack.write(STACK)
    stack("up", "-d")
    stack.environ["LEVEL"] = "debug"
    stack("diff", "--out", "plan.json", "--scale", "db=2")
    return stack.folder / "plan.json"


def test_what_was_approved_is_carried_out(stack: Stack, planned: Path) -> None:
    before = stack.ids()
    shown = stack("apply", "plan.json").stderr
    assert f"Container {stack.name}-web-1  Created" in shown
    assert set(stack.states()) == {"web-1", "db-1", "db-2"}
    assert stack.ids()[f"{stack.name}-db-1"] == before[f"{stack.name}-db-1"]
    history = json.loads(stack("history", "--format", "json").stdout)
    assert history[0]["action"] == "apply"
    told = stack("apply", "plan.json", want=1).stderr
    assert "the plan is out of date" in told


def test_no_secret_is_in_the_file(stack: Stack, planned: Path) -> None:
    stack.environ["TOKEN"] = "second-one"
    stack("diff", "--out", "plan.json")
    text = planned.read_text()
    assert "environment.API_TOKEN" in text
    assert "first-one" not in text
    assert "second-one" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stack: stack.environ.update(LEVEL="other"), "stack file: service web is changed"),
        (lambda stack: stack("stop", "db", "-t", "0"), "engine: container {name}-db-1 is changed"),
        (
            lambda stack: stack("rm", "-sf", "web"),
            "engine: container {name}-web-1 is gone",
        ),
        (
            lambda stack: stack.write(STACK + "  new: {image: '${IMAGE}'}\n    "),
            "stack file: service new is new",
        ),
    ],
)
def test_a_world_that_has_changed_is_refused(
    stack: Stack, planned: Path, change: Callable[[Stack], Any], said: str
) -> None:
    change(stack)
    before = stack.ids()
    told = stack("apply", "plan.json", want=1).stderr
    assert said.format(name=stack.name) in told
    assert "nothing was changed" in told
    assert stack.ids() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("{}", "it is not a plan that stackr diff --out has written"),
        ('{"stackr_plan": 99}', "its form is version 99"),
        ('{"stackr_plan": 1}', "it was changed after it was made"),
    ],
)
def test_what_is_no_plan_is_refused(stack: Stack, text: str, said: str) -> None:
    stack.write(text, "plan.json")
    assert said in stack("apply", "plan.json", want=1).stderr


def test_a_plan_that_was_tampered_with_is_refused(stack: Stack, planned: Path) -> None:
    document = json.loads(planned.read_text())
    document["options"]["scale"] = {"db": 5}
    planned.write_text(json.dumps(document))
    assert "it was changed after it was made" in stack("apply", "plan.json", want=1).stderr
    assert set(stack.states()) == {"web-1", "db-1"}


def test_other_ways_to_err(stack: Stack, planned: Path) -> None:
    assert "no such file" in stack("apply", "nowhere.json", want=1).stderr
    assert "is a directory" in stack("apply", ".", want=1).stderr
    told = stack("-f", "compose.yaml", "apply", "plan.json", want=1).stderr
    assert "the plan says which stack it is for" in told
    told = stack("diff", "--out", "nowhere/plan.json", want=1).stderr
    assert "cannot save the plan" in told
    told = stack("diff", "--out", "p.json", "--base", "compose.yaml", want=1).stderr
    assert "--out: only a plan for the engine" in told
    assert [path.name for path in stack.folder.glob(".*json*")] == []


def test_a_plan_may_come_from_standard_input(stack: Stack, planned: Path) -> None:
    text = planned.read_text()
    assert stack("apply", "-", stdin=text).stderr.count("Created") == 2
