"""docs/cli.md and the README name every command, and each option in its command's section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackr.cli.group import root_group
from stackr.cli.objects import reference
from stackr.cli.objects.command import ObjectCommand
from stackr.cli.objects.group import ObjectGroup
from stackr.cli.options import shared_parameters
from stackr.cli.registry import COMMANDS, REFUSED

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/cli.md").read_text()
SHARED = {spelling for each in shared_parameters() for spelling in each.opts}


def long_options(name: str) -> Iterator[tuple[str, bool]]:
    """The options of a command, and of its own commands, in their first spelling; hidden or not."""
    command = root_group().get_command(None, name)
    if isinstance(command, ObjectGroup | ObjectCommand):
        return  # docs/objects.md has them
    for each in getattr(command, "commands", {}).values() or [command]:
        for parameter in each.params:
            long = [word for word in parameter.opts if word.startswith("--")]
            if long and not SHARED.issuperset(parameter.opts):
                yield long[0], getattr(parameter, "hidden", False)


def section(name: str) -> str:
    """What stands below the headings that name the command."""
    parts = re.split(r"^##+ (.*)$", PAGE, flags=re.M)
    return "".join(
        text for title, text in zip(parts[1::2], parts[2::2], strict=True) if f"`{name}`" in title
    )


def missing(options: Iterator[str], text: str) -> list[str]:
    return [each for each in options if not re.search(rf"`[^`|]*{each}(?![\w-])", text)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_with_its_options(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}[` ]", PAGE, re.M), "in the table of commands"
    options = list(long_options(name))
    assert missing((each for each, hidden in options if not hidden), section(name)) == []
    assert missing((each for each, hidden in options if hidden), PAGE) == []


def test_options_of_commands_on_single_things_are_described() -> None:
    """`make docs` writes the table."""
    assert reference.table() in (ROOT / "docs/objects.md").read_text()


def test_shared_options_and_refused_commands_are_described() -> None:
    assert missing(iter(sorted(word for word in SHARED if word[:2] == "--")), PAGE) == []
    assert [name for name in REFUSED if f"`{name}`" not in PAGE] == []


def test_the_readme_names_every_command() -> None:
    rows = re.findall(r"^\|([^|]*)\|", (ROOT / "README.md").read_text(), re.M)
    named = set(re.findall(r"[a-z]+", " ".join(rows)))
    assert set(COMMANDS) - named == set()
