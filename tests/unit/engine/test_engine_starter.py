"""What the daemon's starter is told, however a start ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import StackrError, Unavailable
from stackr.runtime.engine import launch
from stackr.runtime.engine.config import EngineConfig

_PROGRAM = """
import os, signal, sys
from stackr.runtime.engine.starter import Starter
starter = Starter(int(sys.argv[1]))
starter.detach("its log is /log")
assert os.getsid(0) == os.getpid() and os.getcwd() == "/"
{end}
"""


def told(end: str) -> dict[str, Any]:
    """By a process in the background that ends so; read to the end, for nobody else may write."""
    reader, writer = os.pipe()
    try:
        program = [sys.executable, "-c", _PROGRAM.format(end=end), str(writer)]
        subprocess.run(program, pass_fds=[writer], check=True, timeout=60)
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message: dict[str, Any] = json.loads(pipe.read())
    return message


def test_one_that_is_ready_or_fails_tells_so_itself() -> None:
    assert told("starter.ready(); os.kill(os.getpid(), signal.SIGKILL)") == {"ready": True}
    message = told("starter.failed('x' * 100_000, 'look there'); os._exit(1)")
    assert set(message["error"]) == {"x"}
    assert message["hint"] == "look there"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9 (SIGKILL)"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 1)", "signal 35"),
        ("os._exit(3)", "exit code 3"),
    ],
)
def test_of_one_that_ends_without_a_word_it_is_told_how(end: str, words: str) -> None:
    error = f"engine: it ended while it started: {words}"
    assert told(end) == {"error": error, "hint": "its log is /log"}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("kill -SEGV $$", "it ended while it started"),
        ("printf '{\"ready\": true}' >&3", "it ended once it had started"),
        ('printf \'{"error": "no disk", "hint": null}\' >&3', "no disk"),
    ],
)
def test_a_start_that_comes_to_nothing_is_one_line(
    program: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = tmp_path / "python"
    shell.write_text(f"#!/bin/sh\n{program}\n")
    shell.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shell))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StackrError, match=words) as caught:
        launch.ensure_running(EngineConfig.at(tmp_path / "data", tmp_path / "run"))
    assert isinstance(caught.value, Unavailable)
    assert "\n" not in caught.value.message
