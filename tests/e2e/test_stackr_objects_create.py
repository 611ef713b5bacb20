"""What `container create` asks an engine for, beside what the docker CLI asks: option by option."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from silent_engine import Asked, silent_engine

from stackr.cli.main import run

pytestmark = pytest.mark.e2e

Asking = tuple[str, Asked]
_OPTIONS = Path(__file__).with_name("objects") / "create.txt"


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with silent_engine(tmp_path_factory.mktemp("silent")) as found:
        yield found


def lean(value: Any) -> Any:
    """Without what says nothing: null, "", 0, false, and the names that mean the default."""
    if isinstance(value, list):
        return [lean(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value == {"Name": "no", "MaximumRetryCount": 0}:
        return None
    left = {key: lean(each) for key, each in value.items() if key != "ConsoleSize"}
    if left.get("MemorySwappiness") == -1:
        del left["MemorySwappiness"]
    if "Binds" in left:
        left["Binds"] = sorted(left["Binds"] or [])
    return {key: each for key, each in left.items() if each not in (None, "", 0, [], {})}


def by_docker(asking: Asking, words: str) -> tuple[int, Any]:
    address, asked = asking
    done = subprocess.run(
        ["docker", *shlex.split(words)],
        env={**os.environ, "DOCKER_HOST": address, "DOCKER_CLI_HINTS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, calls(asked)


def by_stackr(asking: Asking, words: str) -> tuple[int, Any]:
    address, asked = asking
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = run(["--engine", address, *shlex.split(words)])
    return code, calls(asked)


def calls(asked: Asked) -> Any:
    return [(*rest, lean(body)) for *rest, body in asked.clear_and_get()]


def test_options_of_create(asking: Asking) -> None:
    for options in _OPTIONS.read_text().splitlines():
        words = f"container create {options}"
        assert by_stackr(asking, words) == by_docker(asking, words), words


def test_files_of_create(asking: Asking, tmp_path: Path) -> None:
    lines, profile = tmp_path / "lines", tmp_path / "seccomp.json"
    lines.write_text("A=1\n# nothing\n\nHOME\nNOPE\nB=x y\n")
    profile.write_text('{ "defaultAction": "X" , "b": 1}')
    for options in (
        f"--env-file {lines} img",
        f"-l a=b -l c --label-file {lines} img",
        f"--security-opt seccomp={profile} img",
        f"--cidfile {lines} img",
    ):
        words = f"container create {options}"
        assert by_stackr(asking, words) == by_docker(asking, words), words


@pytest.mark.parametrize("option", ["--kernel-memory 1m", "--cpu-count 2", "--use-api-socket"])
def test_what_is_not_supported_is_named(asking: Asking, option: str) -> None:
    assert by_stackr(asking, f"container create {option} img") == (1, [])
