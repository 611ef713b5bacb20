"""Where the changed values of a plan are written: file, line, and how they came from there.

A plan is made without this; it is added for those who read the plan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stackr.planner.change.diff import field_changes
from stackr.planner.desired.project import Desired
from stackr.planner.plan.model import Change, FieldChange, Kind, Origin, Plan, Resource, Source
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.rules import Path, find, show
from stackr.spec.value_source import Provenance

__all__ = ["source_of", "with_created_fields", "with_sources"]

_NAMED = re.compile(r"(?P<list>\w+)\[(?P<name>.+)\](?P<rest>(?:\.\w+)?)")
"""A list's item by what tells it from the others, as a plan names it."""


def with_sources(plan: Plan, desired: Desired, project: Project) -> Plan:
    """The plan with the source of each change, changed field and risk that a stack file has."""
    return replace(
        plan,
        changes=tuple(_with_source(change, desired, project) for change in plan.changes),
        risks=tuple(replace(r, source=source_of(project, r.path)) for r in plan.risks),
    )


def with_created_fields(plan: Plan, desired: Desired, *, detail: bool = True) -> Plan:
    """The plan with what its new containers are: image, ports and volumes.

    detail: every attribute, also of new networks and volumes.
    """
    fill = _with_fields if detail else _with_outline
    return replace(plan, changes=tuple(fill(change, desired) for change in plan.changes))


def _with_outline(change: Change, desired: Desired) -> Change:
    if change.kind is not Kind.CREATE or change.resource.kind != "container":
        return change
    spec = desired.services[change.resource.service].spec
    named = {key: spec[key] for key in ("image", "ports") if spec.get(key)}
    fields = field_changes({}, named, forces_recreate=False)
    mounts = [_mount_text(volume) for volume in spec.get("volumes", ())]
    if mounts:
        fields += (FieldChange("volumes", None, mounts, forces_recreate=False),)
    return replace(change, fields=fields)


def _mount_text(volume: Mapping[str, Any]) -> str:
    """`data:/data`, `/etc/app:/conf:ro`, `tmpfs:/run`."""
    source = volume.get("source") or volume.get("type", "volume")
    return f"{source}:{volume.get('target')}" + (":ro" if volume.get("read_only") else "")


def _with_fields(change: Change, desired: Desired) -> Change:
    if change.kind is not Kind.CREATE:
        return change
    name = change.resource.name
    if change.resource.kind == "container":
        spec = desired.services[change.resource.service].spec
    elif change.resource.kind == "network":
        spec = next(n.spec for n in desired.networks.values() if n.name == name)
    else:
        spec = next(v.spec for v in desired.volumes.values() if v.name == name)
    return replace(change, fields=field_changes({}, spec, forces_recreate=False))


def _with_source(change: Change, desired: Desired, project: Project) -> Change:
    base = _path(change.resource, desired)
    if not base:
        return change
    service = change.resource.service

    def with_source(field: FieldChange) -> FieldChange:
        if field.origin is Origin.DRIFT or field.new is None:
            return field
        path = _in_tree(field.path, service, desired, project) if service else None
        found = source_of(project, path or f"{base}.{field.path}", before=field)
        return replace(field, source=found)

    fields = tuple(map(with_source, change.fields))
    return replace(change, source=source_of(project, base), fields=fields)


def _path(resource: Resource, desired: Desired) -> str:
    """The resource's path in the stack file, "" if it has none."""
    if resource.kind == "container":
        return f"services.{resource.service}" if resource.service in desired.services else ""
    if resource.kind == "network":
        keys = [key for key, each in desired.networks.items() if each.name == resource.name]
    elif resource.kind == "volume":
        keys = [key for key, each in desired.volumes.items() if each.name == resource.name]
    else:
        keys = []
    return f"{resource.kind}s.{keys[0]}" if keys else ""


def source_of(
    project: Project, path: str | Path, *, before: FieldChange | None = None
) -> Source | None:
    """Where a path, or the nearest parent that is written, stands, and how it came there.

    before: of a changed field, whose old value may have had a variable's value as well: it is not
    by this variable then that it changed.
    """
    found = project.provenance(path)
    if found is not None and found.line:
        if before is not None:
            told = tuple(each for each in found.variables if not _was_there(each[0].value, before))
            found = replace(found, variables=told)
        return Source(found.file, found.line, found.column, _via(found))
    position = project.position(path if isinstance(path, str) else show(path))
    return Source(position.file, position.line, position.column) if position is not None else None


def _was_there(value: str | None, field: FieldChange) -> bool:
    """Whether a part of the new value was a part of the old one."""
    return value is not None and value not in ("", field.new) and value in str(field.old)


_WAYS = {
    "override": "override file",
    "extends": "extended",
    "include": "included",
    "env_file": "env file",
    "label_file": "label file",
}


def _via(found: Provenance) -> str:
    """`override file, $LEVEL from .env:3`; "" for a value that simply stands in the stack file."""
    words = [_WAYS[found.via]] if found.via in _WAYS else []
    for first, *_ in found.variables:
        match first.via:
            case "env_file":
                words.append(f"${first.name} from {first.file}:{first.line}")
            case "shell":
                words.append(f"${first.name} from the environment")
            case "project":
                words.append(f"${first.name} is the project's name")
            case "unset":
                words.append(f"${first.name} is not set")
            case _:
                words.append(f"the {first.via} of ${first.name}")
    return ", ".join(words)


def _in_tree(path: str, service: str, desired: Desired, project: Project) -> Path | None:
    """The path of a service's field by its keys and indexes; None where the file has none."""
    by_index = _by_index(path, project.services[service])
    below = find(desired.services[service].spec, by_index)
    return None if below is None else ("services", service, *below)


def _by_index(path: str, service: Service) -> str:
    """`volumes[/data].source` as `volumes[0].source`."""
    match = _NAMED.fullmatch(path)
    if match is None:
        return path
    for index, item in enumerate(getattr(service, match["list"], ())):
        if match["name"] in (getattr(item, "target", None), getattr(item, "source", None)):
            return f"{match['list']}[{index}]{match['rest']}"
    return path if match["name"].isdecimal() else match["list"]
