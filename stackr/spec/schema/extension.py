"""JSON Schemas for editors: of `x-stackr`, and of a whole stack file.

    python -m stackr.spec.schema.extension FOLDER

writes x-stackr.json and stack.json there. Both are made from the models and the Compose
Specification's schema; what stackr itself checks a file with is in `stackr.spec.extension`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from stackr.spec.decode import EXTENSION
from stackr.spec.model.base import Model
from stackr.spec.model.extension import ProjectExtension, ServiceExtension
from stackr.spec.schema.validate import schema

__all__ = ["extension_schema", "stack_schema"]

_Schema = dict[str, Any]
_DRAFT = "https://json-schema.org/draft-07/schema"


def extension_schema() -> _Schema:
    """The schema of `x-stackr`: definitions of it at the top level, and in a service."""
    return {
        "$schema": _DRAFT,
        "$id": "x-stackr.json",
        "title": "stackr's extension of the Compose Specification",
        "definitions": {
            "project": _of_model(ProjectExtension),
            "service": _of_model(ServiceExtension),
        },
    }


def stack_schema() -> _Schema:
    """The schema of a stack file: the Compose Specification's, with `x-stackr` in it."""
    stack: _Schema = json.loads(json.dumps(schema()))
    extension = extension_schema()["definitions"]
    stack |= {"$id": "stack.json", "title": "stackr stack file"}
    stack["properties"][EXTENSION] = extension["project"]
    stack["$defs"]["service"]["properties"][EXTENSION] = extension["service"]
    return stack


def _of_model(model: type[Model]) -> _Schema:
    made = model.model_json_schema(ref_template="{model}")
    cleaned: _Schema = _clean(made, made.get("$defs", {}))
    return cleaned


def _clean(value: Any, models: _Schema) -> Any:
    """As draft 7 has it: references filled in, and nothing that a YAML file has no use for."""
    if isinstance(value, list):
        return [_clean(entry, models) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _clean({**models[value["$ref"]], **_without(value, "$ref")}, models)
    if "anyOf" in value:
        (written,) = (each for each in value["anyOf"] if each != {"type": "null"})
        return _clean({**_without(value, "anyOf"), **written}, models)
    kept = _without(value, "$defs", "title", "default")
    cleaned = {key: _clean(entry, models) for key, entry in kept.items()}
    if "properties" in kept:
        fields = _without(kept["properties"], "extensions")
        cleaned["properties"] = {key: _clean(entry, models) for key, entry in fields.items()}
        cleaned["patternProperties"] = {"^x-": {}}
    return cleaned


def _without(value: _Schema, *names: str) -> _Schema:
    return {key: entry for key, entry in value.items() if key not in names}


def _write(folder: Path) -> None:
    for made in (extension_schema(), stack_schema()):
        text = json.dumps(made, indent=2, ensure_ascii=False)
        (folder / made["$id"]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m stackr.spec.schema.extension FOLDER")
    _write(Path(sys.argv[1]))
