"""The site's pages of commands say what `--help` says; its menu has every document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stackr.cli.manual import all_help
from stackr.cli.reference import pages, write_pages
from stackr.cli.registry import COMMANDS

ROOT = Path(__file__).parents[3]


def test_each_command_has_a_page_with_all_that_its_help_has(tmp_path: Path) -> None:
    write_pages(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {"index", *COMMANDS}
    found = dict(pages())
    for _, help in list(all_help())[1:]:
        page = found[help.path.split()[1]]
        assert f"# {help.path}\n" in page
        rows = sum(len(block.rows) for block in help.blocks)
        assert page.count("| <code>") >= rows
        for command, _ in help.examples:
            assert f"```sh\n{command}\n```" in page


def test_what_could_be_markup_is_text() -> None:
    text = dict(pages())["ps"]
    assert "`" not in text.replace("```", "")
    assert "{{.Name}} {{.State}}" in text


def test_the_menu_has_every_document() -> None:
    def names(entry: Any) -> set[str]:
        if isinstance(entry, str):
            return {entry}
        values = entry.values() if isinstance(entry, dict) else entry
        return set().union(*map(names, values))

    menu = names(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert menu == {*there, "index.md", "contributing.md", "changelog.md", "commands/index.md"}
