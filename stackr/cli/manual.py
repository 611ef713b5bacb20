"""The manual pages, one for each command, made from what `--help` shows.

`python -m stackr.cli.manual FOLDER` writes them. Source: man-pages(7), groff_man(7).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackr.cli.group import root_group
from stackr.cli.help import CommandHelp, command_help
from stackr.version import __version__

__all__ = ["all_help", "pages", "write_pages"]

_EXIT_CODES = (
    ("0", "done"),
    ("1", "failed; bad usage and bad stack files included"),
    ("2", "diff --exit-code found changes"),
    ("4", "up --atomic, or an update with failure_action: rollback, failed and was taken back"),
    ("124, 125, 126, 127", "of test: see stackr-test(1)"),
    ("130", "interrupted by Ctrl-C or SIGTERM"),
)
_VARIABLES = (
    ("STACKR_ENGINE", "the engine, as --engine names it"),
    ("STACKR_DATA_ROOT, STACKR_EXEC_ROOT", "where the embedded engine's data and sockets are"),
    ("COMPOSE_FILE, COMPOSE_PROJECT_NAME, COMPOSE_PROFILES", "as with Docker Compose"),
    ("STACKR_WARM", "0: run commands without the process that waits for them"),
    ("STACKR_DEBUG", "1: show where an unforeseen error comes from"),
    ("NO_COLOR", "no colours"),
)
_FILES = (
    ("compose.yaml, stack.yaml", "the stack file, looked for in the folder and those above it"),
    ("/var/lib/stackr", "images, volumes and records of the embedded engine"),
    ("/run/stackr", "its socket and its log"),
)


def pages() -> Iterator[tuple[str, str]]:
    """The name of each page, without its section, and its text."""
    (name, help), *commands = all_help()
    also = [each for each, command in commands if command.path.count(" ") == 1]
    yield name, _page(name, help, also, _more())
    for name, help in commands:
        yield name, _page(name, help, [name.rpartition("-")[0]])


def all_help() -> Iterator[tuple[str, CommandHelp]]:
    """The help of `stackr`, then of each command, before its own: `stackr-image-ls`."""
    root: Any = root_group()
    ctx = root.make_context("stackr", ["version"])
    yield "stackr", command_help(root, ctx)
    for name in root.list_commands(ctx):
        yield from _of_command(root.get_command(ctx, name), name, ctx)


def write_pages(folder: Path) -> None:
    """Write every page to a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / f"{name}.1").write_text(text, encoding="utf-8")


def _of_command(command: Any, name: str, parent: Any) -> Iterator[tuple[str, CommandHelp]]:
    ctx = command.make_context(name, [], parent=parent, resilient_parsing=True)
    help = command_help(command, ctx)
    yield help.path.replace(" ", "-"), help
    if hasattr(command, "list_commands"):
        for sub in command.list_commands(ctx):
            yield from _of_command(command.get_command(ctx, sub), sub, ctx)


def _more() -> list[str]:
    return [
        *_section("Exit status", _EXIT_CODES),
        *_section("Environment", _VARIABLES),
        *_section("Files", _FILES),
    ]


def _page(name: str, help: CommandHelp, also: list[str], more: list[str] | None = None) -> str:
    text = " ".join(help.text.split())
    summary = text.partition(". ")[0].rstrip(".")
    lines = [
        f'.TH "{name.upper()}" "1" "" "stackr {__version__}" "stackr"',
        ".SH NAME",
        f"{_plain(name)} \\- {_plain(summary[:1].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {_plain(help.path)}",
        _plain(help.words),
        ".SH DESCRIPTION",
        *(_plain(" ".join(part.split())) for part in help.text.split("\n\n")),
    ]
    for block in help.blocks:
        lines += _section(block.title, block.rows)
    lines += _section("Examples", help.examples)
    lines += more or []
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{_plain(each)}\\fR(1)" for each in also)]
    return "\n".join(lines) + "\n"


def _section(title: str, rows: tuple[tuple[str, str], ...]) -> list[str]:
    if not rows:
        return []
    lines = [f".SH {_plain(title.upper())}"]
    for name, meaning in rows:
        lines += [".TP", f"\\fB{_plain(name)}\\fR", _plain(meaning)]
    return lines


def _plain(text: str) -> str:
    """Text in which nothing acts on the formatter."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{text}" if text.startswith(".") else text


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
