"""A project from its typed values: the models, each of which is made when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from stackr.spec.decode import EXTENSION, EXTENSIONS
from stackr.spec.fields import PROJECT, SERVICE
from stackr.spec.files import HOST, MOST_CONTENT, Files
from stackr.spec.view import View

if TYPE_CHECKING:
    from stackr.spec.model.extension import Level
    from stackr.spec.model.project import Position, Project
    from stackr.spec.provenance import Provenance
    from stackr.spec.rules import Path

__all__ = ["project_of"]

Tree = dict[str, Any]


def project_of(
    tree: Mapping[str, Any],
    disabled: Mapping[str, Tree],
    attributes: Mapping[str, Any],
    *,
    locate: Callable[[str], Position | None] = lambda path: None,
    trace: Callable[[str | Path], Provenance | None] = lambda path: None,
    files: Files = HOST,
    policy: dict[str, Level] | None = None,
    digest: Callable[[], str] = str,
) -> Project:
    """The project of these typed sections.

    attributes: name, working_dir, compose_files, environment, profiles, warnings, extensions.
    locate: where a path is written. trace: where its value comes from. files: where configs and
    secrets are read from. policy: of the file that `x-stackr` names. digest: of the files that it
    was loaded from.
    """

    def finish(model: Any) -> None:
        model._locate, model._files, model._policy = locate, files, policy
        model._digest, model._trace = digest, trace

    own = {
        **attributes,
        "services": {name: _service(name, each) for name, each in tree["services"].items()},
        "disabled_services": {name: _service(name, each) for name, each in disabled.items()},
    }
    methods: Tree = {
        "position": locate,
        "provenance": trace,
        "read": lambda path: files.read(path, MOST_CONTENT),
        "read_file": files.read_file,
        "digest": digest,
    }
    if EXTENSION in attributes["extensions"]:
        from stackr.spec.extension import project_extension

        methods["stackr"] = project_extension(attributes["extensions"], policy)
    return cast("Project", View(PROJECT, tree, own, methods, finish))


def _service(name: str, tree: Tree) -> View:
    extensions = tree.get(EXTENSIONS, {})
    if EXTENSION not in extensions:
        return View(SERVICE, tree, {"name": name})
    from stackr.spec.extension import service_extension

    return View(SERVICE, tree, {"name": name}, {"stackr": service_extension(extensions)})
