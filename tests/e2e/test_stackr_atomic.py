"""`stackr up --atomic`: all of it, or what was before, the very same containers."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from stackr_stack import Stack, until

pytestmark = [pytest.mark.root, pytest.mark.e2e]

Docker = Callable[..., Any]
UNDONE = 4

STACK = """\
    services:
      web:
        image: ${{IMAGE}}
        command: {command}
        stop_grace_period: 0s
        depends_on: [db]
        healthcheck: {{test: "{check}", interval: 100ms, retries: 2, timeout: 60s}}
        volumes: ["./gate:/gate"]
      db:
        image: ${{IMAGE}}
        command: sleep 1000
        stop_grace_period: 0s
        environment: {{VERSION: "{version}"}}
    """
GOOD = "sh -c 'touch /tmp/ready; sleep 1000'"
BAD = "sh -c 'echo it does not work; sleep 1000'"
LATER = "sh -c 'until test -e /gate/open; do sleep 0.1; done; touch /tmp/ready; sleep 1000'"
CHECK = "until test -e /tmp/ready -o -e /gate/verdict; do sleep 0.1; done; test -e /tmp/ready"
"""What is not ready is only found to be so once a file says that it is time."""


def write(stack: Stack, command: str, version: str, more: str = "") -> None:
    (stack.folder / "gate").mkdir(exist_ok=True)
    path = stack.write(STACK.format(command=command, version=version, check=CHECK))
    path.write_text(path.read_text() + more)


def pass_gate(stack: Stack, name: str) -> None:
    (stack.folder / "gate" / name).touch()


def logs_of(stack: Stack, docker: Docker) -> list[str]:
    """Of each container of the project, those that another is about to replace among them."""
    label = f"label=com.docker.compose.project={stack.name}"
    ids = docker("ps", "-aq", "--filter", label).stdout.split()
    return [docker("logs", id).stdout for id in ids]


@pytest.fixture
def running(stack: Stack) -> Stack:
    stack.environ["XDG_STATE_HOME"] = str(stack.folder / "state")
    write(stack, GOOD, "1")
    stack("up", "--atomic", "-d")
    assert stack.states() == {"web-1": "running", "db-1": "running"}
    return stack


def test_a_failed_health_gate_brings_everything_back(running: Stack, docker: Docker) -> None:
    before = running.ids()
    late = "  late: {image: '${IMAGE}', command: sleep 1000, networks: [back]}\n"
    write(running, BAD, "2", late + "networks: {back: {}}\n")
    process = running.start("up", "--atomic", "-d")
    until(lambda: "it does not work\n" in logs_of(running, docker))
    pass_gate(running, "verdict")
    _, told = process.communicate(timeout=90)
    assert process.returncode == UNDONE, told
    assert "is unhealthy" in told
    assert "it does not work" in told
    assert f"{running.name} is what it was before" in told
    assert running.ids() == before
    assert set(running.states().values()) == {"running"}
    assert running("exec", "-T", "db", "env").stdout.count("VERSION=1\n") == 1
    logs = list((running.folder / "state").glob("stackr/failed/*/*web-1.log"))
    assert [log.read_text() for log in logs] == ["it does not work\n"]
    history = json.loads(running("history", "--format", "json").stdout)
    assert [revision["status"] for revision in history] == ["undone", "applied"]
    write(running, GOOD, "1")
    running("diff", "--exit-code")


def test_a_first_up_that_fails_leaves_nothing(stack: Stack, docker: Docker) -> None:
    stack.environ["XDG_STATE_HOME"] = str(stack.folder / "state")
    write(stack, BAD, "1")
    pass_gate(stack, "verdict")
    stack("up", "--atomic", "-d", want=UNDONE)
    assert stack.containers() == {}
    label = f"label=com.docker.compose.project={stack.name}"
    assert docker("network", "ls", "-q", "--filter", label).stdout == ""


def test_a_success_removes_what_it_replaced(running: Stack, docker: Docker) -> None:
    before = running.ids()
    write(running, GOOD, "2")
    running("up", "--atomic", "-d")
    after = running.ids()
    assert after[f"{running.name}-db-1"] != before[f"{running.name}-db-1"]
    assert after[f"{running.name}-web-1"] == before[f"{running.name}-web-1"]
    assert len(after) == 2


def test_ctrl_c_brings_everything_back(running: Stack) -> None:
    before = running.ids()
    write(running, "sh -c 'sleep 1000'", "2")
    process = running.start("up", "--atomic", "-d")
    try:
        until(lambda: running.ids() != before and len(running.ids()) > 2)
    finally:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=90)
    assert process.returncode == 130, told
    assert running.ids() == before
    assert set(running.states().values()) == {"running"}, told


def test_after_a_kill_the_next_up_goes_on(running: Stack) -> None:
    write(running, LATER, "2")
    process = running.start("up", "--atomic", "-d")
    until(lambda: len(running.ids()) > 2)
    process.kill()
    process.communicate()
    pass_gate(running, "open")
    running("up", "--atomic", "-d")
    assert running.states() == {"web-1": "running", "db-1": "running"}
    running("diff", "--exit-code")


def test_options_that_contradict_it(stack: Stack) -> None:
    write(stack, GOOD, "1")
    for option in ("--no-start", "--abort-on-container-exit"):
        assert "cannot be combined" in stack("up", "--atomic", option, want=1).stderr
