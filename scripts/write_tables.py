"""Write the tables of docs/ that are made from what attributes declare, in their place."""

import re
import sys
from pathlib import Path

from stackr.planner.change import effects
from stackr.spec import support

TABLES = {"compose.md": support.table, "diff.md": effects.table}
_TABLE = re.compile(r"(?m)^\| attribute \|.*\n(?:\|.*\n)+")


def main(folder: Path) -> None:
    for name, table in TABLES.items():
        page = folder / name
        text = page.read_text(encoding="utf-8")
        if len(_TABLE.findall(text)) != 1:
            sys.exit(f"{page}: it has to have one table of attributes")
        before, after = _TABLE.split(text)
        page.write_text(before + table() + after, encoding="utf-8")


if __name__ == "__main__":
    main(Path(__file__).parent.parent / "docs")
