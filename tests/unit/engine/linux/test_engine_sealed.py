"""Programs that are started from a copy in memory."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from stackr.runtime.engine.linux.sealed import FIRST_SPARE_FD, SealedPrograms


@pytest.fixture
def program(tmp_path: Path) -> str:
    return shutil.copy("/bin/true", str(tmp_path / "program"))


def _status(program: int | str) -> int:
    pid = os.fork()
    if not pid:
        os.execve(program, ["program"], {})
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_copy_runs_and_cannot_be_written_to(program: str) -> None:
    copy = SealedPrograms().find(program)
    assert isinstance(copy, int)
    assert copy >= FIRST_SPARE_FD
    assert not os.get_inheritable(copy)
    with pytest.raises(PermissionError):
        os.pwrite(copy, b"x", 0)
    assert fcntl.fcntl(copy, fcntl.F_GET_SEALS) == 0xF
    assert _status(copy) == 0


def test_a_program_that_has_changed_is_copied_anew(program: str) -> None:
    programs = SealedPrograms()
    first = programs.find(program)
    assert programs.find(program) == first
    shutil.copy("/bin/false", f"{program}.new")
    os.replace(f"{program}.new", program)
    assert _status(programs.find(program)) == 1


def test_the_former_copy_is_given_back(program: str) -> None:
    programs = SealedPrograms()
    programs.find(program)
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        shutil.copy(program, f"{program}.new")
        os.replace(f"{program}.new", program)
        programs.find(program)
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"\x7fELF" + bytes(2 << 20)])
def test_a_script_and_a_large_program_are_started_as_they_are(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "program"
    file.write_bytes(content)
    assert SealedPrograms().find(str(file)) == str(file)


def test_a_program_that_is_missing_is_said_by_its_start(tmp_path: Path) -> None:
    assert SealedPrograms().find(str(tmp_path / "none")) == str(tmp_path / "none")


def test_where_there_can_be_no_copy_the_file_is_started(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(name: str, flags: int) -> int:
        raise PermissionError(name)

    monkeypatch.setattr(os, "memfd_create", refused)
    assert SealedPrograms().find(program) == program
