"""Write the tables of docs/ that are made from what attributes declare, in their place."""

import re
import sys
from pathlib import Path

from stackr.cli.objects import reference
from stackr.planner.change import effects
from stackr.spec import support

TABLES = {
    "compose.md": ("attribute", support.table),
    "diff.md": ("attribute", effects.table),
    "objects.md": ("command", reference.table),
}
"""The heading of a page's table, and what writes it."""


def main(folder: Path) -> None:
    for name, (heading, table) in TABLES.items():
        page = folder / name
        text = page.read_text(encoding="utf-8")
        found = re.compile(rf"(?m)^\| {heading} \|.*\n(?:\|.*\n)+")
        if len(found.findall(text)) != 1:
            sys.exit(f"{page}: it has to have one table with the heading {heading}")
        before, after = found.split(text)
        page.write_text(before + table() + after, encoding="utf-8")


if __name__ == "__main__":
    main(Path(__file__).parent.parent / "docs")
