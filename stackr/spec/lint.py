"""What is allowed in a stack file and still surely not meant.

Each warning has the place that it speaks of. The files' scalars are looked at as they are written,
since the values no longer tell `22:22` from `"22:22"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from stackr.spec.load import Loaded
from stackr.spec.positions import Place, Scalar
from stackr.spec.rules import Path, show
from stackr.spec.scalars import resolve

_SEXAGESIMAL = re.compile(r"[0-9]+:[0-5]?[0-9]", re.ASCII)
_OCTAL = re.compile(r"0[0-7]+", re.ASCII)
_OLD_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n"})
_SECTIONS = {"networks": "network", "volumes": "volume", "secrets": "secret", "configs": "config"}


class Warning_(NamedTuple):
    """A finding of `config --lint`; `place` is None for what belongs to no line."""

    place: Place | None
    path: Path
    message: str

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place is not None else ""
        subject = f"{show(self.path)}: " if self.path else ""
        return f"{where}warning: {subject}{self.message}"


def lint(loaded: Loaded, project: dict[str, Any]) -> list[Warning_]:
    """Everything about a loaded project that deserves a second look, in the files' order.

    project: as `resolve` returns it with all resources kept.
    """
    sources = loaded.session.sources
    found = [Warning_(None, (), message) for message in loaded.session.warnings]
    for file, scalars in sources.scalars():
        for scalar in scalars:
            message = _scalar_message(scalar)
            if message is not None:
                place = Place(file, scalar.line, scalar.column)
                found.append(Warning_(place, scalar.path, message))
    for path, message in (*_unused(loaded.tree, project), *_port_clashes(project)):
        found.append(Warning_(sources.find(path, at_key=True), path, message))
    placed = [each for each in found if each.place is not None]
    loose = [each for each in found if each.place is None]
    shown = [each._replace(place=sources.relative(each.place)) for each in placed if each.place]
    return loose + sorted(set(shown), key=lambda each: (each.place or (), each.message))


def _scalar_message(scalar: Scalar) -> str | None:
    text, path = scalar.text, scalar.path
    if not scalar.plain:
        return None
    if _is_port(path) and _SEXAGESIMAL.fullmatch(text):
        return f'quote it ("{text}"): YAML 1.1 reads {text} as a number to the base 60'
    if text.lower() in _OLD_BOOLEANS and not (path and path[-1] == "restart"):
        return (
            f'"{text}" is a string here and a boolean in YAML 1.1: quote it, or use true or false'
        )
    if _OCTAL.fullmatch(text) and len(path) > 2 and path[-1] != "mode":
        return f"{text} is read as the octal number {resolve(text)}: quote it to keep its digits"
    return None


def _is_port(path: Path) -> bool:
    return len(path) == 4 and path[0] == "services" and path[2] in ("ports", "expose")


def _unused(tree: dict[str, Any], project: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    services = {**project["services"], **project["disabled_services"]}.values()
    used: dict[str, set[str]] = {kind: set() for kind in _SECTIONS}
    for service in services:
        used["networks"].update(service.get("networks", ()))
        used["volumes"].update(each.get("source", "") for each in service.get("volumes", ()))
        for grants in (service, service.get("build", {})):
            for kind in ("secrets", "configs"):
                used[kind].update(each.get("source", "") for each in grants.get(kind, ()))
    for kind, singular in _SECTIONS.items():
        for name in tree.get(kind) or ():
            if name not in used[kind] and name != "default":
                yield (kind, name), f"{singular} is declared and never used"


def _port_clashes(project: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    owners: dict[tuple[str, str, str], str] = {}
    for name, service in project["services"].items():
        for index, port in enumerate(service.get("ports", ())):
            published = port.get("published", "")
            if not published or "-" in published:
                continue
            key = (port.get("host_ip", ""), published, port.get("protocol", "tcp"))
            owner = owners.setdefault(key, name)
            if owner != name:
                message = f"port {published}/{key[2]} of the host is published by {owner} as well"
                yield ("services", name, "ports", index), message
