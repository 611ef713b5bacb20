"""The JSON Schema of a plan, as `diff --format json` prints it: docs/schema/plan.json.

    python -m stackr.planner.review.schema FOLDER

writes it there. The words that a plan uses are those of its own enumerations; the shape is that
of `Plan.to_json`, which the tests compare with it.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from stackr.planner.change.risk import RISKS
from stackr.planner.plan.model import JSON_VERSION, Action, Kind, Origin, RiskLevel

__all__ = ["plan_schema"]

_Schema = dict[str, Any]
_DRAFT = "https://json-schema.org/draft-07/schema"
_RESOURCES = ("image", "network", "volume", "config", "secret", "container", "service", "stack")


def plan_schema() -> _Schema:
    """Every object has all of its properties; a later stackr may give it more."""
    return {
        "$schema": _DRAFT,
        "$id": "plan.json",
        "title": "stackr plan",
        "description": "What stackr would do to a project, or does: of diff, up --dry-run, and the "
        "event plan_started.",
        **_object(
            version={
                "const": JSON_VERSION,
                "description": "Counts changes of this form that are not additions.",
            },
            project=_text("The project's name."),
            summary={
                "type": "object",
                "description": "How many resources each kind of change befalls; none with 0.",
                "properties": {kind.value: _count(1) for kind in Kind},
                "additionalProperties": False,
            },
            unchanged={**_count(0), "description": "How many resources stay as they are."},
            changes=_list(_ref("change"), "Networks, volumes, images, then services as they start"),
            operations=_list(
                _ref("operation"), "The calls to the engine; empty where two files are compared."
            ),
            warnings=_list({"type": "string"}, "For the user."),
            risks=_list(_ref("risk"), "What deserves a second look."),
            order=_list(_ref("stage"), "Which services stop and start, one after the other."),
        ),
        "definitions": {
            "affected": _affected(),
            "change": _change(),
            "field": _field(),
            "operation": _operation(),
            "resource": _resource(),
            "risk": _risk(),
            "rollout": _rollout(),
            "source": _source(),
            "stage": _stage(),
        },
    }


def _change() -> _Schema:
    return {
        "description": "What happens to one resource, all in all, and why.",
        **_object(
            resource=_ref("resource"),
            change=_word(Kind, "update: in place, the container stays."),
            cause=_text("Why."),
            origin=_word(Origin, "drift: somebody else than the stack file made the difference."),
            touched_by=_list({"type": "string"}, "The services whose change cascades to this one."),
            source=_maybe_source("Where the resource is written."),
            fields=_list(_ref("field"), "What differs; of what is new, its image, ports, volumes."),
            rollout=_maybe("rollout", "How containers that run are replaced."),
            affects=_list(_ref("affected"), "Of a network: the containers that lose it."),
        ),
    }


def _field() -> _Schema:
    return {
        "description": "One attribute that differs.",
        **_object(
            path=_text(
                "Its place in the resource: environment.LEVEL, volumes[/data].source, ports."
            ),
            old={"description": "Its value now, any JSON; null for none. Secrets are masked."},
            new={"description": "The value that it gets, any JSON; null for none."},
            forces_recreate={
                "type": "boolean",
                "description": "It cannot change in a container that exists.",
            },
            note=_text("What else there is to say, or empty."),
            secret={"type": "boolean", "description": "Whether a value is masked."},
            origin=_word(Origin, "What made this difference."),
            source=_maybe_source("Where the new value is written."),
        ),
    }


def _operation() -> _Schema:
    return {
        "description": "One call to the engine, made when all that it depends on are done.",
        **_object(
            id=_count(1),
            action=_word(Action, "What it does."),
            resource=_ref("resource"),
            cause=_text("Why."),
            depends_on=_list(_count(1), "Lower ids."),
            optional={"type": "boolean", "description": "Nothing is skipped where it fails."},
        ),
    }


def _resource() -> _Schema:
    return {
        "type": "object",
        "required": ["kind", "name"],
        "properties": {
            "kind": {"enum": list(_RESOURCES)},
            "name": _text("The engine's name of it."),
            "service": _text("Of a container: its service."),
            "number": {**_count(0), "description": "Of a container: its replica, from 1; or 0."},
        },
        "if": {"properties": {"kind": {"const": "container"}}},
        "then": {"required": ["service", "number"]},
    }


def _risk() -> _Schema:
    return {
        "description": "; ".join(f"{id}: {meaning}" for id, meaning in RISKS.items()) + ".",
        **_object(
            id={"enum": list(RISKS)},
            path=_text("What in the stack file it comes from: services.web.ports."),
            message=_text("In words."),
            level=_word(RiskLevel, "error: the stack's policy refuses the plan."),
            source=_maybe_source("Where that is written."),
        ),
    }


def _rollout() -> _Schema:
    return {
        "description": "How the containers of a service are replaced, or started again.",
        **_object(
            order={"enum": ["start-first", "stop-first"], "description": "Of old and new."},
            replicas=_count(1),
            parallelism={**_count(0), "description": "How many at a time; 0 is all."},
            rolling={"type": "boolean", "description": "As deploy.update_config asks."},
            away={
                "enum": ["no", "partly", "yes"],
                "description": "Whether the service is away meanwhile, or some replicas are.",
            },
        ),
    }


def _affected() -> _Schema:
    return {
        "description": "A container that loses its network for a while, or for good.",
        **_object(
            container=_text("Its name."),
            how=_text("restarted, recreated, removed, stopped or cut off."),
        ),
    }


def _stage() -> _Schema:
    return {
        "description": "Services that stop, or start, side by side.",
        **_object(
            verb={"enum": ["stop", "start"]},
            services=_list({"type": "string"}, "Their names."),
        ),
    }


def _source() -> _Schema:
    return {
        "description": "A place in a stack file.",
        **_object(
            file=_text("Its path, from the current folder where it is below that."),
            line=_count(1),
            column=_count(1),
            via=_text("How the value came there, or empty."),
        ),
    }


def _object(**properties: _Schema) -> _Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: _Schema, description: str) -> _Schema:
    return {"type": "array", "description": description, "items": items}


def _text(description: str) -> _Schema:
    return {"type": "string", "description": description}


def _count(least: int) -> _Schema:
    return {"type": "integer", "minimum": least}


def _word(words: type[Enum], description: str) -> _Schema:
    return {"enum": [word.value for word in words], "description": description}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/definitions/{name}"}


def _maybe_source(description: str) -> _Schema:
    return _maybe("source", f"{description} Null where no file says.")


def _maybe(name: str, description: str) -> _Schema:
    return {"description": description, "oneOf": [_ref(name), {"type": "null"}]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m stackr.planner.review.schema FOLDER")
    text = json.dumps(plan_schema(), indent=2, ensure_ascii=False)
    Path(sys.argv[1], "plan.json").write_text(text + "\n", encoding="utf-8")
