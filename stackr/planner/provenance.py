"""Where the changed values of a plan are written: file, line, and how they came from there.

A plan is made without this; it is added for those who read the plan.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from stackr.planner.diff import field_changes
from stackr.planner.plan import Change, Kind, Origin, Plan, Resource, Source

if TYPE_CHECKING:
    from stackr.planner.desired import Desired
    from stackr.spec.model.project import Project

__all__ = ["with_created_fields", "with_sources"]

_NAMED = re.compile(r"(?P<list>\w+)\[(?P<name>.+)\](?P<rest>(?:\.\w+)?)")
"""A list's item by what tells it from the others, as a plan names it."""


def with_sources(plan: Plan, desired: Desired, project: Project) -> Plan:
    """The plan with the source of each change, changed field and risk that a stack file has."""
    return replace(
        plan,
        changes=tuple(_with_source(change, desired, project) for change in plan.changes),
        risks=tuple(replace(r, source=_source(project, r.path)) for r in plan.risks),
    )


def with_created_fields(plan: Plan, desired: Desired) -> Plan:
    """The plan with every attribute of what it creates, which is left out of a short one."""
    return replace(plan, changes=tuple(_with_fields(change, desired) for change in plan.changes))


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
    return replace(change, fields=field_changes({}, spec))


def _with_source(change: Change, desired: Desired, project: Project) -> Change:
    base = _path(change.resource, desired)
    if not base:
        return change
    fields = tuple(
        field
        if field.origin is Origin.DRIFT or field.new is None
        else replace(
            field, source=_source(project, f"{base}.{_by_index(field.path, base, project)}")
        )
        for field in change.fields
    )
    return replace(change, source=_source(project, base), fields=fields)


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


def _source(project: Project, path: str) -> Source | None:
    position = project.position(path)
    return Source(position.file, position.line, position.column) if position is not None else None


def _by_index(path: str, base: str, project: Project) -> str:
    """`volumes[/data].source` as `volumes[0].source`."""
    match = _NAMED.fullmatch(path)
    section, _, service = base.partition(".")
    if match is None or section != "services":
        return path
    for index, item in enumerate(getattr(project.services[service], match["list"], ())):
        if match["name"] in (getattr(item, "target", None), getattr(item, "source", None)):
            return f"{match['list']}[{index}]{match['rest']}"
    return match["list"]
