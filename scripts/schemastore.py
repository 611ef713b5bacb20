"""Makes what SchemaStore takes up: the schema, files that it is tried on, the catalogue's entry.

    python scripts/schemastore.py FOLDER

The folder is laid out as SchemaStore's repository, so that it can be copied over it; the entry goes
into `src/api/json/catalog.json` by hand, in the order of the names.
Source: SchemaStore, CONTRIBUTING.md ("How to add a JSON Schema that's hosted in this repository").
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from stackr.spec.discover import STACK_OVERRIDE_NAMES
from stackr.spec.schema.extension import stack_schema

ROOT = Path(__file__).parents[1]
NAME = "stackr"
URL = f"https://www.schemastore.org/{NAME}.json"
FILE_MATCH = ("stack.yaml", "stack.yml", *STACK_OVERRIDE_NAMES)
"""The names that no other tool has: those of Compose are of the Compose Specification's entry."""
INVALID = """\
services:
  web:
    image: nginx
    x-stackr:
      probe: {tpc: 80}
"""


def catalog_entry() -> dict[str, Any]:
    """The schema in SchemaStore's catalogue."""
    return {
        "name": "stackr stack file",
        "description": "A Compose file with stackr's extension: environments of containers",
        "fileMatch": list(FILE_MATCH),
        "url": URL,
    }


def hosted_schema() -> dict[str, Any]:
    """The schema as it is served from there."""
    return {**stack_schema(), "$id": URL}


def write(folder: Path) -> None:
    sources = folder / "src"
    tried, refused = sources / "test" / NAME, sources / "negative_test" / NAME
    for each in (sources / "schemas" / "json", tried, refused):
        each.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "catalog-entry.json", catalog_entry())
    _write_json(sources / "schemas" / "json" / f"{NAME}.json", hosted_schema())
    for example in sorted((ROOT / "examples" / "stacks").glob("*/compose.yaml")):
        shutil.copy(example, tried / f"{example.parent.name}.yaml")
    (refused / "unknown-key.yaml").write_text(INVALID, encoding="utf-8")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/schemastore.py FOLDER")
    write(Path(sys.argv[1]))
