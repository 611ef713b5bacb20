"""What editors and SchemaStore are given: one schema, under names and an address that agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stackr.spec.discover import STACK_OVERRIDE_NAMES
from stackr.spec.schema.extension import stack_schema

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `scripts/schemastore.py` makes."""
    folder = tmp_path_factory.mktemp("schemastore")
    subprocess.run(
        [sys.executable, str(ROOT / "scripts/schemastore.py"), str(folder)],
        check=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    return folder


def validator(schema: dict[str, Any]) -> Any:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_entry_and_the_schema_name_each_other(tree: Path) -> None:
    entry = json.loads((tree / "catalog-entry.json").read_text())
    schema = json.loads((tree / "src/schemas/json/stackr.json").read_text())
    assert schema["$id"] == entry["url"]
    assert entry["url"].rpartition("/")[2] == "stackr.json"
    assert {**schema, "$id": "stack.json"} == stack_schema()
    assert set(entry) == {"name", "description", "fileMatch", "url"}


def test_the_entry_takes_stackrs_own_names_and_leaves_those_of_compose(tree: Path) -> None:
    names = json.loads((tree / "catalog-entry.json").read_text())["fileMatch"]
    assert set(names) == {"stack.yaml", "stack.yml", *STACK_OVERRIDE_NAMES}
    assert not [name for name in names if "compose" in name]


def test_what_it_is_tried_on_is_as_it_says(tree: Path) -> None:
    judge = validator(json.loads((tree / "src/schemas/json/stackr.json").read_text()))
    good = list((tree / "src/test/stackr").glob("*.yaml"))
    assert {path.stem for path in good} >= {"hello", "guestbook"}
    for path in good:
        assert list(judge.iter_errors(yaml.safe_load(path.read_text()))) == [], path.name
    for path in (tree / "src/negative_test/stackr").glob("*.yaml"):
        assert list(judge.iter_errors(yaml.safe_load(path.read_text()))) != [], path.name


def test_the_readmes_stack_is_valid() -> None:
    text = (ROOT / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    assert len(text.splitlines()) == 8
    assert list(validator(stack_schema()).iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize("page", ["docs/compose.md", "docs/x-stackr.md"])
def test_the_hint_for_editors_names_the_schema_that_is_there(page: str) -> None:
    hint = "# yaml-language-server: $schema=PATH/docs/schema/stack.json"
    assert hint in (ROOT / page).read_text()
    assert (ROOT / "docs/schema/stack.json").exists()
