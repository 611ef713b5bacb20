"""`login` and `logout` beside the docker CLI's: what is asked, what is kept, and where."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from silent_engine import silent_engine

from stackr.cli.main import run

pytestmark = pytest.mark.e2e

_PASSWORD = "se cret\n"
_HELPER = """#!/bin/sh
case $1 in
store) cat > "$HELD" ;;
get) [ -s "$HELD" ] && exec cat "$HELD"; echo "credentials not found in native keychain"; exit 1 ;;
erase) cat > /dev/null; : > "$HELD" ;;
esac
"""
CASES = [
    ["login", "-u", "ada", "--password-stdin", "registry.test:5000"],
    ["login", "-u", "ada", "-p", "x y", "https://registry.test/v2/"],
    ["login", "--username", "ada", "--password-stdin"],
    ["logout", "registry.test:5000"],
    ["logout"],
    ["login", "--password-stdin"],
    ["login", "-u", "ada", "-p", "x", "--password-stdin"],
    ["login", "-u", "ada", "registry.test"],
]


def kept(folder: Path) -> Any:
    config = folder / "config.json"
    if not config.exists():
        return None
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    return json.loads(config.read_text())


@pytest.mark.parametrize("before", ["nothing", "others", "a helper"])
def test_login_and_logout(tmp_path: Path, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}
    with silent_engine(tmp_path) as (address, asked):
        for program in (by_docker, by_stackr):
            folder = tmp_path / program.__name__
            for name, value in _environ(folder, address, before).items():
                monkeypatch.setenv(name, value)
            seen = found[program.__name__] = []
            for words in CASES:
                code, out, err = program(words)
                held = folder / "held"
                secret = json.loads(held.read_text() or "{}") if held.exists() else {}
                calls = [each for each in asked.clear_and_get() if each[1] == "/auth"]
                seen.append((words, code, out, calls, kept(folder), secret))
                assert "se cret" not in out + err
    assert found["by_stackr"] == found["by_docker"]


def by_docker(words: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(["docker", *words], input=_PASSWORD, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def by_stackr(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch("sys.stdin", io.StringIO(_PASSWORD)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run(words)
    return code, out.getvalue(), err.getvalue()


def _environ(folder: Path, address: str, before: str) -> dict[str, str]:
    folder.mkdir()
    config: dict[str, Any] = {"auths": {"other.test": {"auth": "YTpi"}}, "psFormat": "x"}
    if before == "a helper":
        helper = folder / "docker-credential-kept"
        helper.write_text(_HELPER)
        helper.chmod(0o755)
        config = {"credsStore": "kept"}
    if before != "nothing":
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "config.json").chmod(0o600)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "DOCKER_CONFIG": str(folder),
        "DOCKER_HOST": address,
        "STACKR_ENGINE": address,
        "HELD": str(folder / "held"),
    }
