"""The benchmark's figures of memory: which processes are an engine's, and what they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import memory


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["/usr/bin/conmon", "--api-version", "1", "-c", "abc"], "conmon"),
        (["/x/python", "-I", "-S", "-c", "import sys", "stackr-relay", "/x"], "relay"),
        (["/x/python", "-P", "-m", "stackr.runtime.engine.daemon"], "stackr.runtime.engine.daemon"),
        (["dockerd"], "dockerd"),
        ([], ""),
    ],
)
def test_a_process_is_counted_by_its_program(command: list[str], program: str) -> None:
    assert memory.program_of(command) == program


def test_processes_that_name_the_folder_are_measured(tmp_path: Path) -> None:
    code = "import os, sys; os.write(1, b'.'); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        child.stdout.read(1)
        found = memory.measure(tmp_path)
        child.kill()
    own = found.pop(Path(sys.executable).name)
    assert found == {}
    assert own.processes == 1
    assert own.rss_kib >= own.pss_kib >= own.private_kib > 0
    assert memory.total([own, own]).pss_kib == 2 * own.pss_kib


def test_nothing_is_measured_of_a_folder_that_nobody_names(tmp_path: Path) -> None:
    assert memory.total(memory.measure(tmp_path / "none").values()).processes == 0
