"""One engine by several spellings of its address: what it refuses, and who waits for whom."""

from __future__ import annotations

import subprocess

import pytest
from polling import until
from stackr_stack import Stack

pytestmark = pytest.mark.root

_GATED = """\
services:
  web:
    image: ${IMAGE}
    init: true
    command: sleep 1000
    healthcheck: {test: test -e /ready, interval: 1s, start_period: 600s, start_interval: 100ms}
"""


def spellings(stack: Stack) -> tuple[tuple[str, ...], ...]:
    """Words before the command that lead to the stack's engine."""
    stack.environ["DOCKER_HOST"] = f"unix://{stack.engine.socket}"
    folder = stack.engine.socket.parent
    odd = folder / ".." / folder.name / stack.engine.socket.name
    return ((), ("--engine", f"unix://{odd}"), ("--engine", "docker"))


@pytest.mark.parametrize(
    "command",
    [("up", "-d"), ("diff",), ("pull",), ("run", "web"), ("graph", "--plan"), ("create",)],
    ids=lambda words: words[0],
)
def test_what_an_engine_refuses_is_refused_by_every_spelling(
    stack: Stack, command: tuple[str, ...]
) -> None:
    stack.write("services: {web: {image: '${IMAGE}', storage_opt: {inodes: 9}}}\n")
    told = {stack(*words, *command, want=1).stderr for words in spellings(stack)}
    assert len(told) == 1
    assert "services.web.storage_opt: not supported by the embedded engine" in told.pop()
    assert stack.containers() == {}


def holding(stack: Stack, *words: str) -> subprocess.Popen[str]:
    """A command that holds the project's lock until `open_gate`."""
    stack.write(_GATED)
    process = stack.start(*words, "up", "-d", "--wait")
    until(lambda: stack("ps", "-q").stdout != "", "the container is there")
    return process


def open_gate(stack: Stack) -> None:
    stack("exec", "web", "touch", "/ready")


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_two_spellings_exclude_each_other(stack: Stack, turn: int) -> None:
    words = spellings(stack)
    holder = holding(stack, *words[turn])
    waiter = stack.start(*words[(turn + 1) % 3], "stop", "-t", "0")
    assert f'is changing the project "{stack.name}"' in first_line(waiter)
    assert waiter.poll() is None
    open_gate(stack)
    assert (holder.wait(60), waiter.wait(60)) == (0, 0)
    assert stack("ps", "-q").stdout == ""


def test_a_killed_holder_lets_go(stack: Stack) -> None:
    holder = holding(stack)
    waiter = stack.start(*spellings(stack)[1], "stop", "-t", "0")
    assert "another command" in first_line(waiter)
    holder.kill()
    assert waiter.wait(60) == 0


def test_ctrl_c_while_waiting_leaves_the_queue(stack: Stack) -> None:
    holder = holding(stack)
    impatient = stack.start("stop", "-t", "0")
    assert "another command" in first_line(impatient)
    patient = stack.start("stop", "-t", "0")
    assert "another command" in first_line(patient)
    impatient.send_signal(2)
    assert impatient.wait(60) == 130
    assert (holder.poll(), patient.poll()) == (None, None)
    open_gate(stack)
    assert (holder.wait(60), patient.wait(60)) == (0, 0)


def test_a_dry_run_waits_for_nobody(stack: Stack) -> None:
    holder = holding(stack)
    assert "another command" not in stack("--dry-run", "stop").stderr
    open_gate(stack)
    assert holder.wait(60) == 0
