"""Where a stack is written: its files and what they are read with; all of it, or only its name.

Work on what exists (`ps`, `logs`, `stop`) needs no more than the project's name; where that is
given, there need not be a stack file at all.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stackr.errors import InvalidProject
from stackr.runtime.folders import seen_at
from stackr.spec.discover import checked_name, discover
from stackr.spec.files import HOST, Files
from stackr.spec.load import Loaded, load, load_tree
from stackr.spec.model.project import Isolated, Project, isolated_project
from stackr.spec.problems import nearest, refuse
from stackr.spec.selection import by_profiles
from stackr.spec.session import LoadOptions, Session
from stackr.stack.isolation import copy_name, worktree_of

__all__ = ["Declared", "Source", "current_folder"]

_NO_FILE = "no configuration file provided"


@dataclass(frozen=True, slots=True)
class Declared:
    """What the stack file says of the services that some work is about.

    name: of the project. services: those that the profiles, and the names given, enable.
    optional: a service and one that it can do without.
    """

    name: str
    services: frozenset[str]
    optional: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Source:
    """What is read when a stack is: nothing is, before it is asked for.

    environ: the variables that count beside those of its files. folder: what paths start from;
    None for the current one. isolated: the name of the folder's own copy, which is meant instead
    of the stack; "" for the usual name, None for the stack itself. engine: whose ports a copy keeps
    clear of.
    """

    options: LoadOptions = field(default_factory=LoadOptions)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path | None = None
    isolated: str | None = None
    engine: str | None = None

    def load(self, services: Sequence[str] = (), *, files: Files = HOST) -> Project:
        """The whole of it. Raises InvalidProject with everything that is wrong.

        services: only these and what they depend on; () for all that the profiles enable.
        files: where its files are read from; this host, if not given.
        """
        options = replace(self.options, services=tuple(services))
        isolated = self.copy()
        if isolated is None:
            return load(options, self.environ, self._folder(), files)
        # only here: it asks the engine, of which most loads need nothing
        from stackr.stack.isolated_load import load_isolated

        options = replace(options, project_name=isolated.project)
        folder = self._folder()
        return load_isolated(
            lambda environ: load(options, environ, folder, files),
            isolated,
            self.environ,
            self.engine,
        )

    def copy(self) -> Isolated | None:
        """Whose copy is meant; None where it is the stack itself."""
        if self.isolated is None:
            return None
        stack, folder = self._place()
        worktree = worktree_of(folder)
        name = copy_name(self.isolated, stack, worktree)
        return Isolated(name, stack, worktree.root, seen_at(worktree.root))

    def plain(self) -> Source:
        """The same stack, and no copy of it."""
        return replace(self, isolated=None)

    def find(self) -> Project | str:
        """The stack; only its name where that is given, and no file is there.

        As with Docker Compose, with a project's name and no file's no file is looked for.
        """
        if self._is_named_alone:
            return self.name()
        try:
            return self.load()
        except InvalidProject as error:
            given = self.environ.get("COMPOSE_PROJECT_NAME")
            if given and error.message.startswith(_NO_FILE):
                return self.name()
            raise

    def name(self) -> str:
        """The project's name, without reading a file where it is given."""
        if self.isolated:
            stack = self.plain().name()
            return isolated_project(stack, copy_name(self.isolated, stack, worktree_of("")))
        if (copy := self.copy()) is not None:
            return copy.project
        given = self.options.project_name or self.environ.get("COMPOSE_PROJECT_NAME")
        if given:
            return checked_name(given)
        return discover(Session(self.options, self.environ, self._folder())).name

    def check_services(self, services: Sequence[str]) -> None:
        """Raises InvalidProject for a service that the stack file does not have.

        With a project name and no stack file there is nothing to check against.
        """
        if services and (loaded := self._tree()) is not None:
            _check_known(services, loaded.tree)

    def declared(self, services: Sequence[str] = ()) -> Declared | None:
        """The stack file's word on its services; None where only the project's name is known.

        Raises InvalidProject for a service that it does not have.
        """
        loaded = self._tree()
        if loaded is None:
            return None
        _check_known(services, loaded.tree)
        everything: dict[str, Any] = loaded.tree.get("services") or {}
        named = [everything[name].get("profiles") or () for name in services]
        enabled, _ = by_profiles(everything, [*loaded.found.profiles, *itertools.chain(*named)])
        name = loaded.found.name if self.isolated is None else self.name()
        return Declared(name, frozenset(enabled), _optional(enabled))

    def services(self) -> tuple[str, ...]:
        """The services that the stack file has; () where only the project's name is known."""
        loaded = self._tree()
        return () if loaded is None else tuple(loaded.tree.get("services") or ())

    def ports(self, service: str) -> tuple[int, ...]:
        """The container ports that a service publishes; () for one that there is not."""
        loaded = self._tree()
        found = {} if loaded is None else (loaded.tree.get("services") or {}).get(service) or {}
        return tuple(dict.fromkeys(port["target"] for port in found.get("ports") or ()))

    def profiles(self) -> tuple[str, ...]:
        """The profiles that the stack file's services have, in order; () without a file."""
        loaded = self._tree()
        services = {} if loaded is None else loaded.tree.get("services") or {}
        named = (profile for each in services.values() for profile in each.get("profiles") or ())
        return tuple(dict.fromkeys(named))

    def schemes(self) -> dict[tuple[str, int], str]:
        """The `app_protocol` of each service's container port that has one."""
        loaded = self._tree()
        services = {} if loaded is None else loaded.tree.get("services") or {}
        return {
            (name, port["target"]): port["app_protocol"]
            for name, service in services.items()
            for port in service.get("ports") or ()
            if port.get("app_protocol")
        }

    def _place(self) -> tuple[str, str]:
        """The stack's name, and its folder; the current one where there is only the name."""
        try:
            found = discover(Session(self.options, self.environ, self._folder()))
        except InvalidProject as error:
            given = self.options.project_name or self.environ.get("COMPOSE_PROJECT_NAME")
            if given and error.message.startswith(_NO_FILE):
                return checked_name(given), str(self._folder())
            raise
        return found.name, found.working_dir

    @property
    def _is_named_alone(self) -> bool:
        return bool(self.options.project_name) and not self.options.files

    def _tree(self) -> Loaded | None:
        """The stack file; None with a project name and no file, as with Docker Compose."""
        if self._is_named_alone:
            return None
        try:
            return load_tree(self.options, self.environ, self._folder())
        except InvalidProject as error:
            if self.environ.get("COMPOSE_PROJECT_NAME") and error.message.startswith(_NO_FILE):
                return None
            raise

    def _folder(self) -> Path:
        return self.folder if self.folder is not None else current_folder()


def current_folder() -> Path:
    """Raises InvalidProject where it has been deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise InvalidProject("the current folder does not exist any more") from error


def _check_known(services: Sequence[str], tree: Mapping[str, Any]) -> None:
    known = tree.get("services") or {}
    for service in services:
        if service not in known:
            raise refuse(f"no such service: {service}", hint=nearest(service, known))


def _optional(enabled: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (name, needed)
        for name, service in enabled.items()
        for needed, dependency in (service.get("depends_on") or {}).items()
        if not dependency.get("required") or _is_scaled_to_none(enabled.get(needed))
    )


def _is_scaled_to_none(service: Mapping[str, Any] | None) -> bool:
    if service is None:
        return False
    deploy = service.get("deploy") or {}
    return 0 in (service.get("scale"), deploy.get("replicas"))
