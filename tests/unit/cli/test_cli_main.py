"""The edge of the command line: exit codes, one-line errors, lazy imports, shared options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import ModuleType
from typing import Annotated

import pytest
import typer

from stackr.cli import registry
from stackr.cli.group import load_command
from stackr.cli.main import run
from stackr.cli.options import GlobalOptions, options_of
from stackr.errors import InvalidProject, NotFound


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A command `probe` that records its shared options, or raises the error appended first."""
    seen: list[object] = []

    def command(
        ctx: typer.Context,
        follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
        words: Annotated[list[str] | None, typer.Argument()] = None,
    ) -> int | None:
        """Probe."""
        if seen and isinstance(seen[0], BaseException):
            raise seen[0]
        seen.extend((options_of(ctx), follow, words))
        return 7 if follow else None

    module = ModuleType("stackr.cli.commands.probe")
    module.probe = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stackr.cli.commands.probe", module)
    load_command.cache_clear()
    monkeypatch.setitem(registry.COMMANDS, "probe", registry.Entry("probe", "probe", "Probe"))
    return seen


def test_shared_options_before_and_after(probe: list[object]) -> None:
    assert run(["-f", "a.yml", "-p", "one", "probe", "--file", "b.yml", "-p", "two", "web"]) == 0
    assert probe == [GlobalOptions(files=["a.yml", "b.yml"], project_name="two"), False, ["web"]]


def test_a_commands_own_short_option_wins(probe: list[object]) -> None:
    assert run(["--json", "probe", "-f", "--no-color"]) == 7
    assert probe == [GlobalOptions(json=True, no_color=True), True, None]


def test_stackr_error_is_one_line_and_its_hint(
    probe: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    probe.append(NotFound("No such container: web", hint="stackr ps lists them"))
    assert run(["probe"]) == 1
    assert capsys.readouterr().err == "stackr: No such container: web\n  stackr ps lists them\n"


def test_every_problem_of_a_stack_file_is_a_line(
    probe: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    probe.append(InvalidProject("2 problems", problems=("a.yml:1:2: x", "a.yml:3:4: y")))
    assert run(["probe"]) == 1
    assert capsys.readouterr().err == "stackr: a.yml:1:2: x\nstackr: a.yml:3:4: y\n"


def test_interrupt_is_130(probe: list[object]) -> None:
    probe.append(KeyboardInterrupt())
    assert run(["probe"]) == 130


def test_the_unforeseen_is_one_line(
    probe: list[object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STACKR_DEBUG", raising=False)
    probe.append(ZeroDivisionError("of\nsomething"))
    assert run(["probe"]) == 1
    assert capsys.readouterr().err == (
        "stackr: internal error: ZeroDivisionError: of something\n"
        "  set STACKR_DEBUG=1 to see where it comes from\n"
    )
    monkeypatch.setenv("STACKR_DEBUG", "1")
    assert run(["probe"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message", "where"),
    [
        (["upp"], 'unknown command "upp", did you mean "up"?', "stackr"),
        (["zzz"], 'unknown command "zzz"', "stackr"),
        (["version", "--shrt"], "no such option: --shrt", "stackr version"),
        (["--nope"], "no such option: --nope", "stackr"),
        (["version", "--format"], "option '--format' requires an argument", "stackr"),
    ],
)
def test_bad_usage_exits_1(
    argv: list[str], message: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].lower().startswith(f"stackr: {message.lower()}")
    assert lines[1:] == [f"  see {where} --help"]


def test_help_lists_every_command_and_imports_none() -> None:
    script = (
        "import sys\n"
        "from stackr.cli.main import run\n"
        "code = run(['--help'])\n"
        "loaded = [m for m in sys.modules if m.startswith('stackr.cli.commands.')]\n"
        "heavy = [m for m in ('rich', 'pydantic', 'networkx', 'aiohttp', 'yaml', 'asyncio')"
        " if m in sys.modules]\n"
        "print(code, loaded, heavy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    for name, entry in registry.COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert entry.help in done.stdout
    assert done.stdout.splitlines()[-1] == "0 [] []"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from stackr.version import __version__

    assert run(["version", "--short"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert run(["version", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == __version__
    assert run(["version", "--format", "xml"]) == 1


def test_a_group_without_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engine"]) == 0
    captured = capsys.readouterr()
    assert "Usage: stackr engine" in captured.out
    assert captured.err == ""


def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "bash"]) == 0
    assert "_STACKR_COMPLETE" in capsys.readouterr().out
    assert run(["completion", "tcsh"]) == 1


def test_a_shell_asks_for_commands() -> None:
    environ = {"_STACKR_COMPLETE": "complete_bash", "COMP_WORDS": "stackr ver", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "stackr"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["version"]


def test_a_command_of_docker_compose_that_is_not_there_is_refused_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["publish", "--dry", "web"]) == 1
    assert capsys.readouterr().err == (
        "stackr: publish: not supported: stackr publishes no stack files\n"
    )


def test_the_version_as_an_option_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == run(["-v"]) == 0
    assert capsys.readouterr().out.count("stackr version ") == 2
    assert run(["version", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["version", "engine"]


def test_an_error_from_outside_does_not_act_on_the_terminal(
    probe: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    probe.append(NotFound("manifest \x1b[2J\x9b1A\udce9 unknown", hint="\x1b]0;title\x07"))
    assert run(["probe"]) == 1
    told = capsys.readouterr().err
    assert told == (
        "stackr: manifest \\u001b[2J\\u009b1A\\udce9 unknown\n  \\u001b]0;title\\u0007\n"
    )


@pytest.mark.parametrize(
    ("option", "told"),
    [("--detatch", ", did you mean --detach?"), ("--port", ""), ("--volume", "")],
)
def test_an_option_is_taken_for_one_that_is_like_it(
    option: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", option]) == 1
    assert capsys.readouterr().err.splitlines()[0] == f"stackr: no such option: {option}{told}"
