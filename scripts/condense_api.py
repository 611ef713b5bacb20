"""Make of Docker's API description what its judge needs: which call answers what.

    scripts/condense_api.py swagger.yaml tests/suites/engine_api.json.xz

The description is `api/swagger.yaml` of github.com/moby/moby, under the Apache License 2.0. Words
and examples are left out, and what may be null is said as JSON Schema says it.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import Any

import yaml

_WORDS = ("description", "example", "examples", "title", "default", "externalDocs")
_METHODS = ("get", "head", "post", "put", "delete")
_MAPS = ("properties", "definitions")
"""Whose keys are names, and no keywords."""


def schema(value: Any, *, of_names: bool = False) -> Any:
    """A schema of Swagger 2 as one of JSON Schema."""
    if isinstance(value, list):
        return [schema(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: schema(each, of_names=key in _MAPS and not of_names)
        for key, each in value.items()
        if of_names or not (key in _WORDS or key.startswith("x-"))
    }
    return {"anyOf": [found, {"type": "null"}]} if value.get("x-nullable") is True else found


def answers(operation: dict[str, Any]) -> dict[str, Any]:
    """By status; null for one without a body that is described."""
    return {
        str(status): schema(answer["schema"]) if "schema" in answer else None
        for status, answer in operation["responses"].items()
    }


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    described = yaml.safe_load(source.read_text())
    calls = {
        f"{method.upper()} {path}": answers(operations[method])
        for path, operations in described["paths"].items()
        for method in _METHODS
        if method in operations
    }
    definitions = schema(described["definitions"], of_names=True)
    condensed = {
        "version": described["info"]["version"],
        "calls": calls,
        "definitions": definitions,
    }
    target.write_bytes(lzma.compress(json.dumps(condensed).encode(), preset=9))


main()
