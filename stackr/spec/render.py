"""A resolved project as text: the JSON and YAML of `config`, and Docker Compose's service hash.

Source: compose-go, types/project.go; docker/compose, cmd/compose/config.go and pkg/compose/hash.go.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from stackr.spec.attribute import Unhashed
from stackr.spec.declared import SECTIONS, SERVICE, of_service
from stackr.spec.decode import Unprintable
from stackr.spec.key_order import all_in_order
from stackr.spec.phases import UNIQUE_RULES
from stackr.spec.problems import refuse
from stackr.spec.rules import Branch
from stackr.spec.units import json_number

_IN_JSON = ("networks", "volumes", "secrets", "configs")
_UNHASHED = {tuple(path.split(".")) for path in of_service(Unhashed)}


def project_tree(name: str, project: dict[str, Any], *, yaml: bool) -> dict[str, Any]:
    """What `config` prints of a typed project; JSON leaves out `models`, as Docker Compose does.

    Raises InvalidProject for what has no form in JSON.
    """
    tree: dict[str, Any] = {"name": name} if name or not yaml else {}
    sections = SECTIONS if yaml else ("services", *_IN_JSON)
    for section in sections:
        if project[section] or section == "services":
            try:
                tree[section] = SECTIONS[section].plain(_sources(section, project), yaml=yaml)
            except Unprintable as error:
                raise refuse(str(error)) from error
    extensions: dict[str, Any] = project["extensions"]
    tree |= all_in_order(extensions) if yaml else _go_json_tree(extensions)
    return tree


def _go_json_tree(value: Any, unique: Branch[Any] | None = None) -> Any:
    """A tree as Docker Compose writes it in JSON: an empty list becomes null.

    unique: the lists whose entries have been made unique, which stay as they are.
    """
    if isinstance(value, dict):
        return {
            key: _go_json_tree(entry, unique.below(key) if unique is not None else None)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        below = unique.below(0) if unique is not None else None
        is_kept = unique is not None and unique.rule is not None
        return [_go_json_tree(entry, below) for entry in value] or ([] if is_kept else None)
    return json_number(value) if isinstance(value, float) else value


def unresolved_tree(tree: dict[str, Any], *, normalized: bool) -> dict[str, Any]:
    """What `config --no-interpolate` writes as JSON of a tree that cannot be typed."""
    result: dict[str, Any] = _go_json_tree(tree, UNIQUE_RULES)
    for service in (result.get("services") or {}).values() if normalized else ():
        for holder, key in ((service, "environment"), (service.get("build") or {}, "args")):
            if holder.get(key) == []:
                holder[key] = None
    return result


def _sources(section: str, project: dict[str, Any]) -> dict[str, Any]:
    """Configs and secrets without content that came from the environment: it may be secret."""
    entries: dict[str, Any] = project[section]
    if section not in ("secrets", "configs"):
        return entries
    shown = {}
    for name, entry in entries.items():
        secret = section == "secrets" or entry.get("environment")
        shown[name] = {k: v for k, v in entry.items() if k != "content"} if secret else entry
    return shown


def to_json(tree: Any) -> str:
    """A tree as indented JSON. Raises InvalidProject for a number that JSON does not have."""
    try:
        return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise refuse(
            "numbers that are infinite or not a number cannot be written as JSON"
        ) from error


def _without_unhashed(value: dict[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    """What counts for the hash; only `deploy` has a part that does not."""
    return {
        key: _without_unhashed(entry, (*above, key)) if key == "deploy" else entry
        for key, entry in value.items()
        if (*above, key) not in _UNHASHED
    }


def service_hash(service: dict[str, Any]) -> str:
    """Docker Compose's hash of a typed service: a container with another one is out of date.

    Returns 64 hexadecimal digits.
    """
    kept = _without_unhashed(service, ())
    return sha256(_go_json(SERVICE.plain(kept, yaml=False)).encode()).hexdigest()


_GO_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def _go_json(tree: Any) -> str:
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
    for char, escape in _GO_ESCAPES.items():
        text = text.replace(char, escape)
    return text
