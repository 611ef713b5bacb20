"""What holds for every command: help, JSON, durations, names of projects."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from stackr.cli.arguments import seconds, without_dashes
from stackr.cli.main import run
from stackr.cli.registry import COMMANDS, NO_JSON
from stackr.errors import InvalidProject
from stackr.patterns import compile_pattern
from stackr.spec.load import load
from stackr.spec.session import LoadOptions
from stackr.stack.history import who

_HONOURED = re.compile(r"is_json|\.json\b|\.context\(|run_plan|converge|bring_up|\.view\b")
"""A result in JSON, or the events of a plan."""

ELSEWHERE = {"test"}
"""It shows its events itself."""

PLACED = {
    "exec": ["web", "ls"],
    "run": ["web"],
    "inspect": ["web"],
    "attach": ["web"],
    "export": ["web"],
    "completion": ["bash"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_honoured_or_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name in ELSEWHERE:
        return
    if name not in NO_JSON:
        module = import_module(f"stackr.cli.commands.{COMMANDS[name].module}")
        assert _HONOURED.search(Path(str(module.__file__)).read_text())
        return
    assert run(["--json", name, *PLACED.get(name, [])]) == 1
    assert capsys.readouterr().err == f"stackr: {name}: --json: not supported: {NO_JSON[name]}\n"


@pytest.mark.parametrize(
    "words",
    [
        *(["ps", "-q"], ["ps", "--services"], ["images", "-q"], ["volumes", "-q"], ["ls", "-q"]),
        *(["version", "--short"], ["config", "--hash", "*"], ["config", "--lint"]),
    ],
)
def test_json_is_refused_beside_plain_lines(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--json"]) == 1
    assert capsys.readouterr().err.endswith(" and --json cannot be combined\n")


@pytest.mark.parametrize(
    "name", ["ps", "logs", "images", "volumes", "top", "stats", "events", "ls", "history", "port"]
)
def test_looking_starts_no_engine(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "stack.yml").write_text("services: {web: {image: app}}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKR_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("STACKR_EXEC_ROOT", str(tmp_path / "exec"))
    monkeypatch.delenv("STACKR_ENGINE", raising=False)
    assert run([name, *(["web", "80"] if name == "port" else [])]) == 1
    assert capsys.readouterr().err == (
        "stackr: engine: it does not run\n"
        "  up starts it when it is needed; stackr engine start does so at once\n"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "words",
    [
        *(["diff"], ["up", "--dry-run"], ["up", "-d", "--isolated", "--dry-run"]),
        *(["graph", "--plan"], ["down", "--dry-run"], ["create", "--dry-run"]),
    ],
)
def test_a_plan_starts_no_engine_that_has_nothing(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "stack.yml").write_text("services: {web: {image: app}}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKR_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("STACKR_EXEC_ROOT", str(tmp_path / "exec"))
    monkeypatch.delenv("STACKR_ENGINE", raising=False)
    assert run(words) == 0
    told = "the engine does not run, and has no containers: compared with nothing\n"
    assert capsys.readouterr().err.startswith(told)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (
            "tcp://localhost:1",
            'stackr: engine "tcp://localhost:1": cannot connect: Connection refused\n'
            "  is the engine running on localhost, and is the address right?\n",
        ),
        (
            "ssh://localhost:1",
            'stackr: engine "ssh://localhost:1": ssh: connect to host localhost port 1: '
            "Connection refused\n  try: ssh localhost docker system dial-stdio\n",
        ),
    ],
)
def test_an_engine_that_is_gone_is_named(
    engine: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--engine", engine, "ls"]) == 1
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("words", [["engine", "logs"], ["engine", "run"]])
def test_json_is_refused_by_commands_of_commands(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = " ".join(words)
    for line in (["--json", *words], [*words, "--json"]):
        assert run(line) == 1
        told = capsys.readouterr().err
        assert told == f"stackr: {name}: --json: not supported: {NO_JSON[name]}\n"


@pytest.mark.parametrize("words", [["-h"], ["help"], ["help", "-h"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = set()
    for words in ([name, "-h"], ["help", name], [name, "--help"]):
        assert run(words) == 0
        shown.add(capsys.readouterr().out)
    assert len(shown) == 1
    assert run([name, "--help"]) == 0
    if name != "engine":
        for option in ("--timeout", "--wait-timeout"):
            assert f"{option} SECONDS" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "wanted"), [("0", 0), ("1.5", 1.5), ("90s", 90), ("5m", 300), ("1h30m", 5400)]
)
def test_times_are_seconds_or_durations(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "-1", "x", "5 m", "1e3", "-5s"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no duration"):
        seconds(text)


@pytest.mark.parametrize("command", ["ps", "stop", "up", "down", "logs"])
def test_a_name_that_no_project_can_have(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["-p", "Bad_Name!", command]) == 1
    assert capsys.readouterr().err.startswith('stackr: invalid project name "Bad_Name!": must')


def test_a_stack_file_is_found_as_a_compose_file_is(tmp_path: Path) -> None:
    for name in ("stack.yml", "stack.yaml", "docker-compose.yaml", "compose.yaml"):
        (tmp_path / name).write_text("services: {web: {image: app}}")
        found = load(LoadOptions(), {}, tmp_path)
        assert [Path(file).name for file in found.compose_files] == [name]


def test_dashes_before_a_program() -> None:
    assert without_dashes(["--", "psql", "--", "x"]) == ("psql", "--", "x")
    assert without_dashes(["psql", "--", "x"]) == ("psql", "--", "x")
    assert without_dashes(["--"]) == ("--",)


def test_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert who().startswith("ada@")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not who().startswith("ada@")


@pytest.mark.parametrize("pattern", ["(?=ahead)", r"(a)\1", "(", "a{2000}"])
def test_a_probe_takes_what_the_engine_takes(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r".+"):
        compile_pattern(pattern)
    probe = json.dumps({"log": pattern})
    text = f"services: {{web: {{image: app, x-stackr: {{probe: {probe}}}}}}}"
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(InvalidProject, match=r"is no regular expression: ."):
        load(LoadOptions(), {}, tmp_path)


def test_the_engines_version_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that does not run is not started for it."""
    monkeypatch.setenv("STACKR_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("STACKR_EXEC_ROOT", str(tmp_path / "exec"))
    monkeypatch.delenv("STACKR_ENGINE", raising=False)
    assert run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engine"] == {"error": "engine: it does not run"}
    assert not (tmp_path / "data").exists()


def test_a_duration_options_default_is_a_number() -> None:
    assert seconds(30.0) == 30


def test_a_time_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STACKR_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("STACKR_EXEC_ROOT", str(tmp_path / "exec"))
    assert run(["engine", "stop"]) == run(["engine", "stop", "-t", "1m"]) == 0
    assert capsys.readouterr().out == "engine does not run\n" * 2
