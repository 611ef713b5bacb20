"""Strings and flags reach a command without Typer's conversion, which is slow to import."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer import core

from stackr.cli.main import run


def _refuse(*arguments: object) -> None:
    raise AssertionError(f"converts {arguments}")


def test_a_command_of_strings_and_flags_converts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: i}, b: {image: j}}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(core, "build_runtime_param", _refuse)
    assert run(["--project-name", "x", "config", "compose.yaml", "--format", "json", "-q"]) == 0
    assert run(["config", "--services", "--file", "compose.yaml"]) == 0
    assert capfdbinary.readouterr().out == b"a\nb\n"


def test_words_that_are_no_option_are_still_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--frmat", "json"]) == 1
    assert "no such option: --frmat" in capsys.readouterr().err
