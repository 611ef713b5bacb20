"""From the shared options to the project: the whole of it, or only its name.

Commands that work on what exists (`ps`, `logs`, `stop`) need no more than the project's name; with
`-p` they need no stack file at all.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackr.cli.arguments import Targets, current_folder, is_set
from stackr.cli.options import GlobalOptions, refuse_compatibility
from stackr.errors import InvalidProject
from stackr.spec.session import LoadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stackr.spec.files import Files
    from stackr.spec.load import Loaded
    from stackr.spec.model.project import Project

__all__ = [
    "Declared",
    "check_services",
    "declared",
    "declared_services",
    "find_project",
    "load_project",
    "project_name",
]

_NO_FILE = "no configuration file provided"


def load_project(
    options: GlobalOptions,
    files: Sequence[str] = (),
    *,
    services: Sequence[str] = (),
    source: Files | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Project:
    """Load the stack that the shared options and the words of the command line name.

    services: only these and what they depend on; () for all that the profiles enable.
    source: where its files are read from; None for this host.
    Raises InvalidProject with everything that is wrong.
    """
    from stackr.spec.files import HOST
    from stackr.spec.load import load

    return load(_load_options(options, files, services), environ, current_folder(), source or HOST)


def find_project(options: GlobalOptions, files: Sequence[str] = ()) -> Project | str:
    """The stack; only its name where `-p` or COMPOSE_PROJECT_NAME gives that, and no file is there.

    As with Docker Compose, `-p` without `-f` does not look for a file.
    """
    if options.project_name and not (options.files or files):
        return project_name(options)
    try:
        return load_project(options, files)
    except InvalidProject as error:
        given = os.environ.get("COMPOSE_PROJECT_NAME")
        if given and error.message.startswith(_NO_FILE):
            return given
        raise


def project_name(options: GlobalOptions, files: Sequence[str] = ()) -> str:
    """The project's name, from `-p` alone where it is given."""
    from stackr.spec.discover import checked_name, discover
    from stackr.spec.session import Session

    given = options.project_name or os.environ.get("COMPOSE_PROJECT_NAME")
    if given:
        return checked_name(given)
    return discover(Session(_load_options(options, files), os.environ, current_folder())).name


def check_services(options: GlobalOptions, targets: Targets) -> None:
    """Raises InvalidProject for a service that the stack file does not have.

    With a project name and no stack file there is nothing to check against.
    """
    if not targets.services:
        return
    loaded = _load_tree(options, targets.files)
    if loaded is not None:
        _check_known(targets.services, loaded.tree)


def _check_known(services: Sequence[str], tree: Mapping[str, Any]) -> None:
    from stackr.spec.problems import nearest, refuse

    known = tree.get("services") or {}
    for service in services:
        if service not in known:
            raise refuse(f"no such service: {service}", hint=nearest(service, known))


@dataclass(frozen=True, slots=True)
class Declared:
    """What the stack file says of the services that a command is about.

    name: of the project. services: those that the profiles, and the names on the command line,
    enable. optional: a service and one that it can do without.
    """

    name: str
    services: frozenset[str]
    optional: frozenset[tuple[str, str]]


def declared(options: GlobalOptions, targets: Targets) -> Declared | None:
    """The stack file's word on its services; None where only the project's name is known.

    Raises InvalidProject for a service that it does not have.
    """
    loaded = _load_tree(options, targets.files)
    if loaded is None:
        return None
    _check_known(targets.services, loaded.tree)
    from stackr.spec.selection import by_profiles

    everything: dict[str, Any] = loaded.tree.get("services") or {}
    named = [everything[name].get("profiles") or () for name in targets.services]
    enabled, _ = by_profiles(everything, [*loaded.found.profiles, *itertools.chain(*named)])
    return Declared(
        loaded.found.name,
        frozenset(enabled),
        frozenset(
            (name, needed)
            for name, service in enabled.items()
            for needed, dependency in (service.get("depends_on") or {}).items()
            if not dependency.get("required") or _is_scaled_to_none(enabled.get(needed))
        ),
    )


def _is_scaled_to_none(service: Mapping[str, Any] | None) -> bool:
    if service is None:
        return False
    deploy = service.get("deploy") or {}
    return 0 in (service.get("scale"), deploy.get("replicas"))


def declared_services(options: GlobalOptions, files: Sequence[str] = ()) -> tuple[str, ...]:
    """The services that the stack file has; () where only the project's name is known."""
    loaded = _load_tree(options, files)
    return () if loaded is None else tuple(loaded.tree.get("services") or ())


def _load_tree(options: GlobalOptions, files: Sequence[str]) -> Loaded | None:
    """The stack file; None with a project name and no file, as with Docker Compose."""
    if options.project_name and not (options.files or files):
        return None
    from stackr.spec.load import load_tree

    try:
        return load_tree(_load_options(options, files), os.environ, current_folder())
    except InvalidProject as error:
        if os.environ.get("COMPOSE_PROJECT_NAME") and error.message.startswith(_NO_FILE):
            return None
        raise


def _load_options(
    options: GlobalOptions, files: Sequence[str], services: Sequence[str] = ()
) -> LoadOptions:
    if is_set("COMPOSE_COMPATIBILITY"):
        refuse_compatibility("COMPOSE_COMPATIBILITY")
    return LoadOptions(
        files=(*options.files, *files),
        project_directory=options.project_directory,
        project_name=options.project_name,
        profiles=tuple(options.profiles),
        env_files=tuple(options.env_files),
        services=tuple(services),
        all_resources=options.all_resources,
    )
