"""What `--help` shows: sections, usage lines without types, common options apart, examples."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from stackr.cli.examples import EXAMPLES
from stackr.cli.group import load_command, root_group
from stackr.cli.main import run
from stackr.cli.nearest import nearest_command
from stackr.cli.objects.group import ObjectGroup
from stackr.cli.options import GlobalOptions
from stackr.cli.registry import COMMANDS, sections

Capture = pytest.CaptureFixture[str]


def paths() -> Iterator[str]:
    """The words of every command, and of its own commands: `engine`, `engine start`."""
    for name in COMMANDS:
        yield name
        command = root_group().get_command(None, name)
        if hasattr(command, "list_commands"):
            for sub in command.list_commands(None):
                yield f"{name} {sub}"


def shown(*words: str, capsys: Capture) -> str:
    assert run([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_every_command_has_examples() -> None:
    """Those of groups on single things may be as those of the docker CLI, which are known."""
    groups = {name for name in COMMANDS if isinstance(load_command(name), ObjectGroup)}
    wanted = {path for path in paths() if path.partition(" ")[0] not in groups}
    assert wanted - set(EXAMPLES) == set()
    assert set(EXAMPLES) - {""} - set(paths()) == set()


def test_every_command_is_in_one_section() -> None:
    listed = [name for names in sections().values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("path", list(paths()))
def test_help_of_a_command(path: str, capsys: Capture) -> None:
    text = shown(*path.split(), capsys=capsys)
    assert not re.search(r"<\w|\{|\blist\[|\[\[", text.replace("{{", "").split("\n\n")[0])
    assert "..." not in text.split("Commands:")[-1].split("\n\n")[0] or "Commands:" not in text
    assert "--help  " in text.split("Common options:")[1]
    assert "\n\nExamples:\n" in text or path not in EXAMPLES


@pytest.mark.parametrize("path", sorted(set(EXAMPLES) - {""}))
def test_a_command_has_two_examples_that_can_be_read(path: str) -> None:
    assert len(EXAMPLES[path]) == 2
    root: Any = root_group()
    for line, _ in EXAMPLES[path]:
        words = shlex.split(re.split(r"[|>]", line.removeprefix('eval "$(').removesuffix(')"'))[0])
        assert words[0] == "stackr"
        ctx = root.make_context("stackr", words[1:])
        name, command, rest = root.resolve_command(ctx, words[1:])
        assert path.startswith(str(name))
        command.make_context(name, rest, parent=ctx)


def test_usage(capsys: Capture) -> None:
    assert shown("up", capsys=capsys).startswith("Usage: stackr up [OPTIONS] [FILE] [SERVICE]...\n")
    assert "stackr exec [OPTIONS] SERVICE COMMAND [ARG]...\n" in shown("exec", capsys=capsys)
    assert "stackr test [OPTIONS] -- COMMAND [ARG]...\n" in shown("test", capsys=capsys)
    assert "stackr engine [OPTIONS] COMMAND [ARG]...\n" in shown("engine", capsys=capsys)


def test_the_version_is_in_the_list(capsys: Capture) -> None:
    assert "  -v, --version  Show the versions\n" in shown(capsys=capsys)
    assert run(["--ansi", "never", "--version"]) == 0
    assert capsys.readouterr().out.startswith("stackr version ")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("plan", "diff"),
        ("status", "ps"),
        ("deploy", "up"),
        ("destroy", "down"),
        ("Undo", "rollback"),
        ("shell", "exec"),
        ("lint", "config --lint"),
        ("hsitory", "history"),
        ("xyzzy", None),
    ],
)
def test_the_nearest_command_is_that_of_the_same_meaning(word: str, meant: str | None) -> None:
    assert nearest_command(word) == meant


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ps", "--dry-run"], "ps: --dry-run: not supported: it changes nothing"),
        (["--dry-run", "logs"], "logs: --dry-run: not supported: it changes nothing"),
        (["ls", "-p", "x"], "ls: --project-name: not supported: it is about no single stack"),
        (["explain", "a.b", "--engine", "docker"], "explain: --engine: not supported: it asks no"),
        (["diff", "--progress", "json"], "diff: --progress: not supported: it shows no progress"),
        (["logs", "--parallel", "2"], "logs: --parallel: not supported: it makes no calls side"),
        (["--dry-run", "engine", "stop"], "engine stop: --dry-run: not supported: it is done"),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    words: list[str], message: str, capsys: Capture
) -> None:
    assert run(words) == 1
    assert capsys.readouterr().err.startswith(f"stackr: {message}")


def test_an_option_that_means_nothing_is_not_shown(capsys: Capture) -> None:
    assert "--dry-run" not in shown("ps", capsys=capsys)
    assert "--dry-run" in shown("up", capsys=capsys)


@pytest.mark.parametrize("words", [["--profile", "-d"], ["--profile", "stack.yml"], ["--profile"]])
def test_the_old_use_of_profile_is_told(words: list[str], capsys: Capture) -> None:
    assert run(["up", *words]) == 1
    assert "\n  up --timings shows where the time went\n" in capsys.readouterr().err


def test_profiles_are_profiles_behind_up_too() -> None:
    root: Any = root_group()
    ctx = root.make_context("stackr", ["up", "--profile", "dev"])
    _, command, rest = root.resolve_command(ctx, ["up", "--profile", "dev"])
    command.make_context("up", rest, parent=ctx)
    assert ctx.obj == GlobalOptions(profiles=["dev"])
