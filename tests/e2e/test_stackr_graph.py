"""`stackr graph` of a stack and of a plan, without an engine and with one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from stackr_stack import STACKR, Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

STACK = """\
    services:
      web: {image: "${IMAGE}", command: sleep 1000, depends_on: [db], networks: [front, back]}
      db:
        image: ${IMAGE}
        command: sleep 1000
        volumes: [data:/data]
        networks: [back]
        healthcheck: {test: "true"}
        stop_grace_period: 0s
    networks: {front: {}, back: {}}
    volumes: {data: {}}
    """


@pytest.mark.parametrize("form", ["tree", "dot", "mermaid", "json", "svg"])
def test_the_stack_needs_no_engine(stack: Stack, form: str) -> None:
    stack.write(STACK)
    environ = {**stack.environ, "STACKR_ENGINE": "unix:///nowhere"}
    done = subprocess.run(
        [STACKR, "graph", "--format", form],
        cwd=stack.folder,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {"web", "db", "data"} <= set(re.findall(r"\w+", done.stdout))
    if form == "json":
        json.loads(done.stdout)
    if form == "svg":
        assert ElementTree.fromstring(done.stdout).tag.endswith("svg")


def test_graphviz_accepts_the_dot_language(stack: Stack) -> None:
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    stack.write(STACK)
    for plan in ((), ("--plan",)):
        text = stack("graph", "--format", "dot", *plan).stdout
        subprocess.run(["dot", "-Tsvg"], input=text, text=True, check=True, capture_output=True)


def test_the_plan_is_that_of_up(stack: Stack) -> None:
    stack.write(STACK)
    shown = stack("graph", "--plan").stdout
    assert f"{stack.name}-web-1" in shown
    assert stack.containers() == {}
    stack("up", "-d")
    again = stack("graph", "--plan").stdout
    assert f"{stack.name}-web-1" not in again


def test_it_is_written_to_a_file(stack: Stack) -> None:
    stack.write(STACK)
    assert stack("graph", "--format", "json", "-o", "graph.json").stdout == ""
    json.loads((stack.folder / "graph.json").read_text())
    assert "unknown value" in stack("graph", "--format", "png", want=1).stderr
    assert "no such service: nope" in stack("graph", "nope", want=1).stderr
