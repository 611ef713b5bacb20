"""Short form to long form; attributes name a rule with `LongForm`.

Source: compose-go, transform/canonical.go and the files beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from stackr.spec.rules import Branch, Path, descend
from stackr.spec.short import clean_path, parse_device, parse_port, parse_volume
from stackr.spec.units import go_text, is_int

MAX_PORTS = 200_000


class Report:
    """Where a pass over the tree leaves what it has to say; `ports` counts those expanded."""

    def __init__(self, *, lenient: bool = False) -> None:
        self.lenient = lenient
        self.faults: list[tuple[Path, str]] = []
        self.warnings: list[tuple[Path, str]] = []
        self.ports = 0


Rule: TypeAlias = Callable[[Any, Branch[Any], Path, Report], Any]


def omit_empty(tree: dict[str, Any]) -> None:
    """Drop empty DNS servers, which are what is left of variables that are not set."""
    services = tree.get("services")
    for service in services.values() if isinstance(services, dict) else ():
        if isinstance(service, dict) and isinstance(service.get("dns"), list):
            service["dns"] = [entry for entry in service["dns"] if entry not in (None, "")]


def _refuse(value: Any, path: Path, report: Report, wanted: str) -> Any:
    """Note a value that has no form at all; only files that are extended can have one here."""
    report.faults.append((path, f"must be {wanted}, not {go_text(value)}"))
    return value


def parsed(parse: Callable[[str], Any], *, unread: dict[str, Any] | None = None) -> Rule:
    """Text has a form of its own; unread: what a lenient pass makes of text that has it not."""

    def rule(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
        if isinstance(value, dict):
            return value
        if not isinstance(value, str):
            return _refuse(value, path, report, "a string or a mapping")
        try:
            return parse(value)
        except ValueError as error:
            if not report.lenient:
                report.faults.append((path, str(error)))
        return value if unread is None else dict(unread)

    return rule


def _mount(text: str) -> dict[str, Any]:
    mount = parse_volume(text)
    if mount.get("target"):
        mount["target"] = clean_path(mount["target"])
    return mount


mount = parsed(_mount)
device = parsed(parse_device, unread={"source": "", "target": "", "permissions": "rwm"})


def wrapped(key: str) -> Rule:
    """A string stands for a map with this key alone."""

    def rule(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
        if isinstance(value, dict):
            return descend(value, branch, path, report)
        if not isinstance(value, str):
            return _refuse(value, path, report, "a string or a mapping")
        return {key: value}

    return rule


source = wrapped("source")


def _are_names(value: Any, path: Path, report: Report) -> bool:
    """Whether it is a list of strings; a list of anything else is refused."""
    if not isinstance(value, list):
        return False
    for index, entry in enumerate(value):
        if not isinstance(entry, str):
            _refuse(entry, (*path, index), report, "a string")
            return False
    return True


def one_or_many(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    return [value] if isinstance(value, str) else value


def names(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    return dict.fromkeys(value) if _are_names(value, path, report) else value


def text(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    return go_text(value)


def depends_on(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    if _are_names(value, path, report):
        return {name: {"condition": "service_started", "required": True} for name in value}
    if not isinstance(value, (dict, list)):
        return _refuse(value, path, report, "a list or a mapping")
    for name, dependency in value.items() if isinstance(value, dict) else ():
        if isinstance(dependency, dict):
            dependency.setdefault("condition", "service_started")
            dependency.setdefault("required", True)
        else:
            _refuse(dependency, (*path, name), report, "a mapping")
    return value


def env_file(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list):
        return _refuse(value, path, report, "a string or a list")
    for index, entry in enumerate(entries):
        if isinstance(entry, dict):
            entry.setdefault("required", True)
        else:
            file = {"path": entry, "required": True}
            entries[index] = file if isinstance(entry, str) else None
    return entries


def contexts(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    if not isinstance(value, (dict, list)):
        return _refuse(value, path, report, "a mapping or a list")
    if not _are_names(value, path, report):
        return value
    pairs: dict[str, Any] = {}
    for index, entry in enumerate(value):
        name, equals, context = entry.partition("=")
        if not equals:
            if report.lenient:
                return value
            report.faults.append(((*path, index), f"invalid value {entry}, expected key=value"))
        pairs[name] = context
    return pairs


def ssh(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    if not isinstance(value, (dict, list)):
        return _refuse(value, path, report, "a mapping or a list")
    if not _are_names(value, path, report):
        return value
    keys: dict[str, Any] = {}
    for index, entry in enumerate(value):
        name, equals, source = entry.partition("=")
        if not equals and name != "default":
            report.faults.append(((*path, index), f'invalid ssh key "{entry}"'))
        keys[name] = source if equals else None
    return keys


def gpus(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    if isinstance(value, str):
        return [{"count": "all"}]
    return value if isinstance(value, list) else _refuse(value, path, report, "a string or a list")


def ports(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    if not isinstance(value, list):
        return _refuse(value, path, report, "a list")
    ports: list[Any] = []
    for index, entry in enumerate(value):
        if isinstance(entry, dict):
            ports.append(entry)
            continue
        try:
            if not isinstance(entry, str) and not is_int(entry):
                raise ValueError(f"invalid port {go_text(entry)}")
            expanded = parse_port(str(entry), most=MAX_PORTS - report.ports)
            report.ports += len(expanded)
            ports += expanded
        except ValueError as error:
            if report.lenient and isinstance(entry, str):
                return value
            report.faults.append(((*path, index), str(error)))
    return ports


def ulimit(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    if not is_int(value) and not isinstance(value, dict):
        return _refuse(value, path, report, "an integer or a mapping")
    return value


def external(value: Any, branch: Branch[Any], path: Path, report: Report) -> Any:
    if value is not None and not isinstance(value, dict):
        return _refuse(value, path, report, "a mapping")
    if value is None or not isinstance(value.get("external"), dict):
        return value
    name = value["external"].get("name")
    named = "name" in value["external"]
    value["external"] = True
    if named:
        report.warnings.append(
            (path, "external.name is deprecated. Please set name and external: true")
        )
        if "name" in value and value["name"] != name:
            report.faults.append((path, "name and external.name conflict; only use name"))
        value.setdefault("name", name)
    return value
