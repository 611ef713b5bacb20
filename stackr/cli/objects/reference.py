"""The table of these commands and their options, for docs/objects.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stackr.cli.group import load_command
from stackr.cli.objects.command import ObjectCommand
from stackr.cli.objects.group import ObjectGroup
from stackr.cli.registry import COMMANDS

__all__ = ["table"]


def table() -> str:
    """A line for each command: its words, and its options with their short forms."""
    lines = ["| command | options |", "| --- | --- |"]
    lines += [f"| `{words}` | {_options(command)} |" for words, command in _commands()]
    return "\n".join(lines) + "\n"


def _commands() -> Iterator[tuple[str, ObjectCommand]]:
    for name in COMMANDS:
        command: Any = load_command(name)
        if isinstance(command, ObjectGroup):
            for own, each in command.parsers().items():
                yield f"{name} {own}{_words(each)}", each
        elif isinstance(command, ObjectCommand):
            yield f"{name}{_words(command)}", command


def _words(command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    return "".join(f" {each.metavar}" for each in arguments)


def _options(command: Any) -> str:
    texts = []
    for each in command.params:
        if each.param_type_name == "option" and each.expose_value and not each.hidden:
            short = [word for word in each.opts if not word.startswith("--")]
            long = [word for word in each.opts if word.startswith("--")]
            texts.append(f"`{', '.join([*short, *long])}`")
    return ", ".join(texts)
