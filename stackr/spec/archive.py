"""A resolved project as plain JSON values, and back: what a revision of a stack keeps.

Kept are the typed values (of the kinds in `stackr.spec.declared`), not the files. The content of a
secret is left out: it is read again where the project is brought up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stackr.errors import InvalidArgument
from stackr.spec.declared import SECTIONS
from stackr.spec.model.project import Isolated, Origin, Project
from stackr.spec.project import project_of

__all__ = ["ARCHIVE_VERSION", "archived", "combined", "restored"]

ARCHIVE_VERSION = 1
_SHALLOW = ("name", "working_dir", "compose_files", "profiles")


def archived(project: Project) -> dict[str, Any]:
    """The project as JSON values. It must have been loaded; its variables are not kept."""
    value = project.typed
    if not value:
        raise TypeError("the project was not loaded: it has no typed values")
    tree = {section: dict(value.get(section, {})) for section in SECTIONS}
    for name, secret in tree["secrets"].items():
        tree["secrets"][name] = {key: secret[key] for key in secret if key != "content"}
    return {
        "version": ARCHIVE_VERSION,
        **{key: getattr(project, key) for key in _SHALLOW},
        "extensions": project.extensions,
        "disabled_services": sorted(project.disabled_services),
        **tree,
        **({"isolated": asdict(project.isolated)} if project.isolated else {}),
    }


def combined(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """What `later` has, and of `earlier` what it does not name."""
    merged = {**earlier, **later}
    for section in SECTIONS:
        merged[section] = {**earlier.get(section, {}), **later[section]}
    merged["disabled_services"] = [
        name for name in later["disabled_services"] if name not in merged["services"]
    ]
    return merged


def restored(archive: Mapping[str, Any], environment: Mapping[str, str]) -> Project:
    """The project of an archive. environment: what secrets that are variables are read from.

    Raises InvalidArgument for an archive of another version, or none.
    """
    if archive.get("version") != ARCHIVE_VERSION:
        raise InvalidArgument("it was kept by another version of stackr")
    try:
        return _restored(archive, environment)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument("what was kept of it is damaged") from error


def _restored(archive: Mapping[str, Any], environment: Mapping[str, str]) -> Project:
    tree = {section: dict(archive[section]) for section in SECTIONS}
    for name, secret in tree["secrets"].items():
        variable = secret.get("environment")
        if variable and variable in environment:  # os.environ takes nothing but text
            tree["secrets"][name] = {**secret, "content": environment[variable]}
    attributes = {
        "name": str(archive["name"]),
        "working_dir": str(archive["working_dir"]),
        "compose_files": tuple(archive["compose_files"]),
        "profiles": tuple(archive["profiles"]),
        "environment": dict(environment),
        "extensions": dict(archive["extensions"]),
        "warnings": (),
        "isolated": _isolated(archive.get("isolated")),
    }
    disabled: dict[str, Any] = {name: {} for name in archive["disabled_services"]}
    return project_of(disabled, attributes, Origin(typed=tree, policy={}))


def _isolated(kept: Mapping[str, Any] | None) -> Isolated | None:
    if kept is None:
        return None
    return Isolated(str(kept["name"]), str(kept["stack"]), str(kept["folder"]), str(kept["seen"]))
