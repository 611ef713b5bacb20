"""What is allowed in a stack file and still surely not meant.

Each warning has the place that it speaks of. The files' scalars are looked at as they are written,
since the values no longer tell `22:22` from `"22:22"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from stackr.spec.loaded import Loaded
from stackr.spec.positions import Place, Scalar, Sources
from stackr.spec.problems import nearest
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


def lint(
    loaded: Loaded, project: dict[str, Any], missing_file: Callable[[str], str | None]
) -> list[Warning_]:
    """Everything about a loaded project that deserves a second look, in the files' order.

    project: as `resolve` returns it with all resources kept. missing_file: what to say of a bind's
    source, an absolute path, where it is not there and a folder would be made; None for nothing.
    """
    sources = loaded.session.sources
    found = [Warning_(None, (), message) for message in loaded.session.warnings]
    for file, scalars in sources.scalars():
        for scalar in scalars:
            message = _scalar_message(scalar)
            if message is not None:
                place = Place(file, scalar.line, scalar.column)
                found.append(Warning_(place, scalar.path, message))
    findings = [*_findings(loaded, project), *_missing_files(project, missing_file)]
    for path, message in findings:
        found.append(Warning_(_place(sources, path), path, message))
    placed = [each for each in found if each.place is not None]
    loose = [each for each in found if each.place is None]
    shown = [each._replace(place=sources.relative(each.place)) for each in placed if each.place]
    return loose + sorted(set(shown), key=lambda each: (each.place or (), each.message))


def _place(sources: Sources, path: Path) -> Place | None:
    return sources.find(path, at_key=True) if path else None


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


def _findings(loaded: Loaded, project: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    yield from _unused(loaded.tree, project)
    yield from _port_clashes(project)
    yield from _profiles(loaded, project)
    for name, service in project["services"].items():
        path: Path = ("services", name)
        if service.get("links"):
            message = "links are of old: services reach each other by their names on a network"
            yield (*path, "links"), message
        if "build" not in service and _is_moving(service.get("image", "")):
            yield (*path, "image"), _moving(service["image"])
        for index, step in enumerate(service.get("pre_start", ())):
            image = step.get("image", "")
            if image != service.get("image") and _is_moving(image):
                yield (*path, "pre_start", index, "image"), _moving(image)


def _missing_files(
    project: dict[str, Any], missing_file: Callable[[str], str | None]
) -> Iterator[tuple[Path, str]]:
    for name, service in project["services"].items():
        for index, volume in enumerate(service.get("volumes", ())):
            makes_folder = volume.get("bind", {"create_host_path": True}).get("create_host_path")
            if volume.get("type") == "bind" and makes_folder and volume.get("source"):
                message = missing_file(volume["source"])
                if message is not None:
                    yield ("services", name, "volumes", index), message


def _moving(image: str) -> str:
    return f'"{image}" is whatever is newest: name a version or a digest'


def _is_moving(image: str) -> bool:
    """Whether a reference has no digest, and no tag or only `latest`."""
    tag = image.rpartition("/")[2].partition(":")[2]
    return bool(image) and "@" not in image and tag in ("", "latest")


def _profiles(loaded: Loaded, project: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Profiles that no service has, and dependencies that no active profile enables."""
    disabled = project["disabled_services"]
    services = (*project["services"].values(), *disabled.values())
    known = {profile for service in services for profile in service.get("profiles", ())}
    for profile in loaded.found.profiles:
        if profile not in ("", "*") and profile not in known:
            hint = nearest(profile, known)
            yield (), f'no service has the profile "{profile}"' + (f": {hint}" if hint else "")
    for name, service in project["services"].items():
        for target in service.get("depends_on", {}):
            if target in disabled:
                profiles = ", ".join(disabled[target].get("profiles", ()))
                message = f"{target} is not waited for: only the profile {profiles} enables it"
                yield ("services", name, "depends_on", target), message


_Binding: TypeAlias = tuple[str, Path]


def _port_clashes(project: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    bound: dict[tuple[str, str], list[_Binding]] = {}
    for name, service in project["services"].items():
        for index, port in enumerate(service.get("ports", ())):
            published = port.get("published", "")
            if not published or "-" in published:
                continue
            path: Path = ("services", name, "ports", index)
            address = port.get("host_ip", "")
            others = bound.setdefault((published, port.get("protocol", "tcp")), [])
            for other, owner in others:
                if address == other or _is_any(address) or _is_any(other):
                    what = f"port {published}/{port.get('protocol', 'tcp')} of the host"
                    yield path, f"{what} is published by {show(owner)} as well"
                    break
            others.append((address, path))


def _is_any(address: str) -> bool:
    return address in ("", "0.0.0.0", "::")
