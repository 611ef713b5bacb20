"""What a shell is offered: names of the stack file, choices, and nothing where nothing is known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.cli.completing import choices_in
from stackr.cli.shells import SCRIPTS

STACK = """
services:
  web: {image: app, profiles: [dev, debug], ports: ["8080:80", "443"]}
  worker: {image: app}
"""
PROTOCOLS: dict[str, Callable[[str], dict[str, str]]] = {
    "bash": lambda line: {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
    "zsh": lambda line: {"_TYPER_COMPLETE_ARGS": line},
    "fish": lambda line: {
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    },
}


@pytest.mark.parametrize(
    ("help", "choices"),
    [
        ("table, json or text", ["table", "json", "text"]),
        ("table or json", ["table", "json"]),
        ("Of failures: text or github (annotations)", ["text", "github"]),
        ('table, json, or "{{.Name}} {{.State}}"', ["table", "json"]),
        ("Colours: auto, always or never", ["auto", "always", "never"]),
        ("table or json; of one, its plan as JSON", ["table", "json"]),
        ("Set a variable", []),
        ("Only containers in this state", []),
    ],
)
def test_the_choices_are_those_of_the_help(help: str, choices: list[str]) -> None:
    assert choices_in(help) == choices


def offered(folder: Path, line: str, shell: str = "bash") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "stackr"],
        env={
            **os.environ,
            "STACKR_DATA_ROOT": str(folder / "data"),
            "STACKR_EXEC_ROOT": str(folder / "run"),
            "_STACKR_COMPLETE": f"complete_{shell}",
            **PROTOCOLS[shell](line),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stackr logs w", ["web", "worker"]),
        ("stackr up --scale wo", ["worker="]),
        ("stackr up --profile de", ["dev", "debug"]),
        ("stackr up --pull ", ["always", "missing", "never"]),
        ("stackr container rm ", []),
        ("stackr engine sta", ["start", "status"]),
        ("stackr ps --status r", ["restarting", "removing", "running"]),
        ("stackr ps --filter status=e", ["status=exited"]),
        ("stackr port web ", ["80", "443"]),
        ("stackr config --hash ", ["*", "web", "worker"]),
    ],
)
def test_words_are_offered(tmp_path: Path, line: str, words: list[str]) -> None:
    (tmp_path / "stack.yml").write_text(STACK)
    assert offered(tmp_path, line) == words
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(tmp_path: Path, shell: str) -> None:
    (tmp_path / "stack.yml").write_text(STACK)
    assert {"web", "worker"} <= set(
        " ".join(offered(tmp_path, "stackr logs w", shell)).replace('"', " ").split()
    )


def test_a_value_behind_its_option_is_offered_as_the_whole_word(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text(STACK)
    assert offered(tmp_path, "stackr ps --status=ex", "fish") == ["--status=exited"]


def test_bash_puts_words_together_and_needs_none(tmp_path: Path) -> None:
    """What the script makes of bash's words; the program's answers are those of a stand-in."""
    answer = "printf '%s\\n' \"$COMP_CWORD\" \"${COMP_WORDS//$'\\n'/|}\""
    script = f"""\
        {SCRIPTS["bash"]}
        stand_in() {{ {answer}; }}
        nothing() {{ echo; }}
        COMP_WORDS=(stackr ps --status = ex); COMP_CWORD=4
        _stackr_completion stand_in; printf '%s\\n' "${{COMPREPLY[@]}}"
        COMP_WORDS=(stackr cp a=b c); COMP_CWORD=3
        _stackr_completion stand_in; printf '%s\\n' "${{COMPREPLY[@]}}"
        _stackr_completion nothing; echo "${{#COMPREPLY[@]}}"
        """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "stackr|ps|--status=ex", "3", "stackr|cp|a=b|c", "0"]


def test_a_broken_stack_file_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text("services: [")
    assert offered(tmp_path, "stackr logs w") == []
