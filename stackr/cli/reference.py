"""The commands' pages of the documents' site, made from what `--help` shows, as the manual is.

`python -m stackr.cli.reference FOLDER` writes them, one a command, and `index.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from stackr.cli.help import CommandHelp
from stackr.cli.manual import all_help

__all__ = ["pages", "write_pages"]


def pages() -> Iterator[tuple[str, str]]:
    """The name of each page, and its Markdown; commands of a command are on its page."""
    (_, root), *commands = all_help()
    groups: dict[str, list[CommandHelp]] = {}
    for _, help in commands:
        groups.setdefault(help.path.split()[1], []).append(help)
    yield "index", _index(root, groups)
    for name, helps in groups.items():
        yield name, "\n".join(line for help in helps for line in _section(help))


def write_pages(folder: Path) -> None:
    """Write every page to a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _index(root: CommandHelp, groups: Iterable[str]) -> str:
    lines = ["# Commands", "", root.text, ""]
    lines += [f"* [`stackr {name}`]({name}.md)" for name in sorted(groups)]
    return "\n".join([*lines, ""])


def _section(help: CommandHelp) -> Iterator[str]:
    level = "#" * help.path.count(" ")
    yield from (f"{level} {help.path}", "", *_fenced(f"{help.path} {help.words}".strip()))
    yield from (_plain(help.text), "")
    for block in help.blocks:
        if block.rows:
            yield from (f"**{_plain(block.title)}**", "", "| | |", "| --- | --- |")
            yield from (f"| {_code(name)} | {_plain(meaning)} |" for name, meaning in block.rows)
            yield ""
    if help.examples:
        yield from ("**Examples**", "")
        for command, meaning in help.examples:
            yield from (f"{_plain(meaning)}:", "", *_fenced(command))


def _fenced(text: str) -> Iterator[str]:
    yield from ("```sh", text, "```", "")


def _plain(text: str) -> str:
    """Text in which nothing is Markdown or HTML."""
    for character in "\\`*_<>|[]":
        text = text.replace(character, f"&#{ord(character)};")
    return text


def _code(text: str) -> str:
    return f"<code>{_plain(text)}</code>"


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
