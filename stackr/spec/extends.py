"""`extends`: a service made from another one, of the same file or of another.

Source: compose-go, loader/extends.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from stackr.spec.merge import CannotMerge
from stackr.spec.paths import is_remote, locate
from stackr.spec.phases import extend_service, resolve_paths
from stackr.spec.rules import Path
from stackr.spec.session import Session
from stackr.spec.source import MAX_PROJECT_NODES, clone, size

LoadBase: TypeAlias = Callable[[str], tuple[dict[str, Any], tuple[Path, ...]]]
"""Reads a file by absolute path: its tree in canonical form, and the paths that it resets."""


MAX_CHAIN = 100


class Extender:
    """Applies `extends` to the services of one file."""

    def __init__(self, session: Session, folder: str, load: LoadBase) -> None:
        self._session, self._folder, self._load = session, folder, load
        self._files: dict[str, tuple[dict[str, Any], tuple[Path, ...]]] = {}
        self._main = ""

    def apply(self, tree: dict[str, Any], file: str, resets: tuple[Path, ...]) -> None:
        """Merge every service of a tree with those that it extends, in place.

        resets: what the file marks with `!reset` or `!override`; it is dropped from the bases.
        """
        services = tree.get("services")
        if "services" not in tree:
            return
        if not isinstance(services, dict):
            self._session.fail(("services",), "must be a mapping")
            return
        self._main = file
        for name in list(services):
            services[name] = self._extended(name, services, file, resets, ())

    def _extended(
        self,
        name: str,
        services: dict[str, Any],
        file: str,
        resets: tuple[Path, ...],
        chain: tuple[tuple[str, str], ...],
    ) -> Any:
        service = services.get(name)
        if service is None:
            return None
        path: Path = ("services", name)
        if not isinstance(service, dict):
            self._session.fail(path, "must be a mapping")
        if "extends" not in service:
            return service
        reference, base_file = self._reference(service["extends"], (*path, "extends"))
        source, base_resets, where = services, resets, file
        if base_file is not None:
            where = locate(self._folder, base_file)
            source, base_resets = self._base(base_file, (*path, "extends", "file"))
        if reference not in source:
            self._session.fail(
                (*path, "extends"),
                f'cannot extend service "{name}" in {file}: service "{reference}" not found'
                + (f" in {base_file}" if base_file is not None else ""),
            )
        # As there: what extends a service of its own file counts as one of the main file.
        step = (base_file or self._main, name)
        if step in chain:
            names = " -> ".join([*(link[1] for link in chain[chain.index(step) :]), name])
            self._session.fail((*path, "extends"), f"circular reference: {names}")
        if len(chain) >= MAX_CHAIN:
            message = f"extends more than {MAX_CHAIN} services, one after the other"
            self._session.fail((*path, "extends"), message)
        self._session.sources.layers.extend(file, name, where, reference)
        base = self._extended(reference, source, where, base_resets, (*chain, step))
        if base is None:
            return service
        if not self._session.budget.spend(size(base)):
            message = f"with what they extend, services have more than {MAX_PROJECT_NODES} values"
            self._session.fail((*path, "extends"), message)
        services[name] = self._merged(clone(base), service, name, resets)
        return services[name]

    def _reference(self, value: Any, path: Path) -> tuple[str, str | None]:
        if isinstance(value, str):
            return value, None
        service = value.get("service") if isinstance(value, dict) else None
        file = value.get("file") if isinstance(value, dict) else None
        if not isinstance(service, str):
            self._session.fail(path, '"service" is missing: name the service to extend')
        if file is not None and not isinstance(file, str):
            self._session.fail((*path, "file"), "must be a string")
        return str(service), file

    def _base(self, file: str, path: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
        if is_remote(file):
            self._session.fail(path, f"{file}: files from Git or a registry are not supported")
        if file not in self._files:
            absolute = locate(self._folder, file)
            with self._session.sources.reading(absolute):
                self._files[file] = self._read(absolute, path)
        return self._files[file]

    def _read(self, absolute: str, path: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
        tree, resets = self._load(absolute)
        if not isinstance(tree.get("services"), dict):
            self._session.fail(path, f"{absolute} has no services section")
        relative = posixpath.relpath(posixpath.dirname(absolute), self._folder)
        base = self._session.base("" if relative == "." else relative)
        resolve_paths(tree, base)
        self._session.report(base.faults)
        self._session.problems.check()
        return tree["services"], resets

    def _merged(
        self, base: dict[str, Any], service: dict[str, Any], name: str, resets: tuple[Path, ...]
    ) -> dict[str, Any]:
        apply_resets({"services": {name: base}}, resets)
        try:
            merged = extend_service(base, service, name)
        except CannotMerge as error:
            self._session.fail(error.path, "cannot override a value of another kind")
            raise
        merged.pop("extends", None)
        return merged


def apply_resets(tree: Mapping[str, Any], resets: tuple[Path, ...]) -> None:
    """Drop from a tree what a later file marks with `!reset` or `!override`."""
    for path in resets:
        parent: Any = tree
        for part in path[:-1]:
            parent = parent.get(part) if isinstance(parent, dict) else None
        if isinstance(parent, dict) and path:
            parent.pop(path[-1], None)
