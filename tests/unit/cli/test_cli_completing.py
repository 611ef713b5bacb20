"""What a shell is offered: names of the stack file, choices, and nothing where nothing is known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.cli.completing import choices_in

STACK = """
services:
  web: {image: app, profiles: [dev, debug]}
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


def test_a_broken_stack_file_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text("services: [")
    assert offered(tmp_path, "stackr logs w") == []
