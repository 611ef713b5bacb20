"""A project from its typed values: frozen models of what the phases have checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.spec.declared import PROJECT, SERVICE
from stackr.spec.model.project import Origin, Project
from stackr.spec.model.service import Service

__all__ = ["project_of"]

Tree = dict[str, Any]


def project_of(
    disabled: Mapping[str, Tree], attributes: Mapping[str, Any], origin: Origin
) -> Project:
    """The project of the typed sections of `origin`.

    attributes: name, working_dir, compose_files, environment, profiles, warnings, extensions.
    """
    tree = origin.typed
    own = {
        **attributes,
        "services": {name: _service(name, each) for name, each in tree["services"].items()},
        "disabled_services": {name: _service(name, each) for name, each in disabled.items()},
    }
    made: Project = PROJECT.model_of(tree, own)
    return made.bind(origin)


def _service(name: str, tree: Tree) -> Service:
    made: Service = SERVICE.model_of(tree, {"name": name})
    return made
