"""Real stack files, and what Docker Compose v2.40.3 makes of them.

`cases.tar.xz` holds a folder for each: the input, and Docker Compose's JSON or its refusal; its
README.md and index.tsv say where each comes from, and under which licence. Another folder laid out
in the same way is compared instead if STACKR_COMPOSE_CASES names it.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from json_difference import first_difference

from stackr.cli.arguments import Targets
from stackr.cli.commands.config import ConfigArguments, run_config
from stackr.cli.options import GlobalOptions
from stackr.errors import InvalidProject

_ARCHIVE = Path(__file__).with_name("cases.tar.xz")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("STACKR_COMPOSE_CASES")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("cases")
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _index(folder: Path) -> Iterator[tuple[str, Path]]:
    lines = (folder / "index.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        case, file, *_ = line.split("\t")
        yield case, folder / case / file


def _anonymous(value: Any, folder: str) -> Any:
    """The value with a case's own folder written as ${DIR}, in keys too."""
    if isinstance(value, str):
        return value.replace(folder, "${DIR}")
    if isinstance(value, dict):
        return {_anonymous(k, folder): _anonymous(v, folder) for k, v in value.items()}
    if isinstance(value, list):
        return [_anonymous(entry, folder) for entry in value]
    return value


def _disagreement(file: Path, case: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What stackr makes otherwise of a case than Docker Compose does; None if nothing."""
    monkeypatch.chdir(file.parent)
    monkeypatch.setenv("PWD", str(file.parent))
    written: list[str] = []
    arguments = ConfigArguments(targets=Targets(files=(file.name,)), format="json")
    wanted = case / "expected.json"
    try:
        run_config(arguments, GlobalOptions(), written.append)
    except InvalidProject as error:
        return f"refused: {error.problems[0]}" if wanted.exists() else None
    if not wanted.exists():
        return f"accepted, though: {(case / 'expected.err').read_text().splitlines()[1]}"
    got = _anonymous(json.loads("".join(written)), str(case))
    return first_difference(got, json.loads(wanted.read_text(encoding="utf-8")))


def test_every_case_agrees_with_docker_compose(
    cases: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    found = {case: _disagreement(file, cases / case, monkeypatch) for case, file in _index(cases)}
    disagreeing = {case: text for case, text in found.items() if text is not None}
    capsys.readouterr()
    report = [f"{case}: {text}" for case, text in sorted(disagreeing.items())]
    agreeing = len(found) - len(disagreeing)
    assert not report, f"{agreeing} of {len(found)} agree\n" + "\n".join(report)
    assert agreeing >= 1
