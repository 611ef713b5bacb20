"""`stackr ui` on a terminal: the installed command, a real engine, keys and signals."""

from __future__ import annotations

import os
import signal
import termios
from pathlib import Path

import pytest
from pty_process import on_terminal
from stackr_stack import Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

WEB = """
    services:
      web:
        image: ${IMAGE}
        command: [sh, -c, "echo first words; exec sleep 1000"]
        stop_grace_period: 0s
"""


def test_a_stack_is_brought_up_looked_at_and_worked_on(stack: Stack) -> None:
    stack.write(WEB)
    with on_terminal(stack, "ui") as screen:
        before = termios.tcgetattr(screen.terminal)
        screen.read_until(b"not created")
        screen.read_until(b"to create")
        screen.type(b"u")
        screen.read_until(b"yes")
        screen.type(b"y")
        screen.read_until(b"up: done")
        screen.read_until(b"first words")
        screen.type(b"x")
        screen.read_until(b"# ")
        screen.type(b"echo $((40+2))$HOSTNAME; stty -a; exit 3\n")
        screen.read_until(b"rows 24; columns 80")
        screen.read_until(b"ended with code 3")
        stack("stop", "web")
        screen.read_until(b"exited")
        screen.resize(30, 100)
        screen.type(b"q")
        assert screen.wait() == 0
        assert screen.seen.endswith(b"\x1b[?25h") or b"\x1b[?1049l" in screen.seen
        assert termios.tcgetattr(screen.terminal) == before


@pytest.mark.parametrize("how", ["SIGTERM", "the terminal goes"])
def test_it_ends_with_its_session(stack: Stack, how: str) -> None:
    stack.write(WEB)
    with on_terminal(stack, "ui") as screen:
        screen.read_until(b"to create")
        if how.startswith("SIG"):
            screen.process.send_signal(signal.Signals[how])
            assert screen.wait() == 0
        else:
            spare = os.dup(screen.terminal)
            os.close(screen.terminal)
            os.close(spare)
            screen.process.wait(60)
            screen.terminal = os.open("/dev/null", os.O_RDWR)


def test_what_it_lacks_is_said_in_one_line(stack: Stack, tmp_path: Path) -> None:
    stack.write(WEB)
    done = stack("ui", want=1)
    assert done.stderr.splitlines()[0].endswith("ui: it needs a terminal")
    absent = tmp_path / "absent" / "textual"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text('raise ModuleNotFoundError("no", name="textual")')
    stack.environ["PYTHONPATH"] = str(absent.parent)
    with on_terminal(stack, "ui") as screen:
        assert screen.wait() == 1
        told, hint = screen.seen.decode().splitlines()
        assert told.endswith("ui: Textual is not installed")
        assert hint.endswith("bin/python -m pip install textual")
