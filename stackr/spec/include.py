"""`include`: other projects, each with its own folder and environment, brought into this one.

Source: compose-go, loader/include.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from stackr.errors import InvalidArgument
from stackr.spec import dotenv
from stackr.spec.layers import Inclusion
from stackr.spec.paths import is_remote, join, locate
from stackr.spec.session import Session


class Scope(NamedTuple):
    """Where a model is read: one project, or one that it includes.

    folder: where its files are, absolute. prefix: what its relative paths start at. included: the
    files that have been entered on the way here.
    """

    folder: str
    prefix: str
    environment: dict[str, str]
    included: tuple[str, ...] = ()


LoadModel: TypeAlias = Callable[[list[str], Scope], dict[str, Any]]

MAX_DEPTH = 100

SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")


class _Include(NamedTuple):
    path: list[str]
    project_directory: str
    env_file: list[str]


def apply_include(
    tree: dict[str, Any], scope: Scope, file: str, session: Session, load: LoadModel
) -> None:
    """Load what a tree includes, and add it to the tree, in place."""
    if tree.get("include") is None:
        tree.pop("include", None)
        return
    for index, entry in enumerate(_entries(tree["include"], session)):
        if entry.path:
            inner, files = _enter(entry, index, scope, file, session)
            _import(load(files, inner), tree, session)
    del tree["include"]


def _entries(value: Any, session: Session) -> list[_Include]:
    if not isinstance(value, list):
        session.fail(("include",), "`include` must be a list")
    entries = []
    for index, entry in enumerate(value):
        fields = {"path": entry} if isinstance(entry, str) else entry or {}
        if not isinstance(fields, dict):
            session.fail(("include", index), "must be a path or a mapping")
        folder = fields.get("project_directory") or ""
        folder = str(folder) if type(folder) is int else folder
        paths = _strings(fields.get("path"))
        env_file = _strings(fields.get("env_file"))
        if paths is None or env_file is None or not isinstance(folder, str):
            session.fail(("include", index), "paths must be strings or lists of strings")
        entries.append(_Include(paths or [], folder, env_file or []))
    return entries


def _strings(value: Any) -> list[str] | None:
    entries = [] if value is None else [value] if isinstance(value, str) else value
    if isinstance(entries, list) and all(isinstance(entry, str) for entry in entries):
        return entries
    return None


def _enter(
    entry: _Include, index: int, scope: Scope, file: str, session: Session
) -> tuple[Scope, list[str]]:
    for path in entry.path:
        if is_remote(path):
            message = f"{path}: files from Git or a registry are not supported"
            session.fail(("include", index), message)
    files = [locate(scope.folder, path) for path in entry.path]
    folder, prefix = _project_directory(entry.project_directory, files[0], scope, session)
    included = (*scope.included, file)
    if len(included) > MAX_DEPTH:
        message = f"includes are nested deeper than {MAX_DEPTH} levels"
        session.fail(("include", index), message)
    if files[0] in included:
        chain = " -> ".join([*included, files[0]])
        session.fail(("include", index), f"include cycle detected: {chain}")
    env_files = _env_files(entry.env_file, folder, index, scope, session)
    session.sources.layers.include(file, Inclusion(tuple(files), tuple(env_files)))
    try:
        variables = dotenv.read_all(session.files, env_files, scope.environment, session.warn_unset)
    except InvalidArgument as error:
        session.fail(("include", index), error.message)
        raise
    return Scope(folder, prefix, {**variables, **scope.environment}, included), files


def _project_directory(
    directory: str, main: str, scope: Scope, session: Session
) -> tuple[str, str]:
    """The included project's folder, and that folder seen from the including one's."""
    if posixpath.isabs(directory):
        return directory, directory
    if not directory:
        folder = posixpath.dirname(main)
        return folder, _relative(folder, scope.folder)
    absolute = join(scope.folder, directory)
    seen = absolute if session.files.is_folder(absolute) else posixpath.dirname(absolute)
    return absolute, _relative(seen, scope.folder)


def _relative(folder: str, start: str) -> str:
    relative = posixpath.relpath(folder, start)
    return "" if relative == "." else relative


def _env_files(
    names: list[str], folder: str, index: int, scope: Scope, session: Session
) -> list[str]:
    if not names:
        return dotenv.of_folder(folder, session.files)
    files = []
    for name in names:
        file = session.absolute(locate(scope.prefix, name))
        if not session.files.exists(file):
            session.fail(("include", index), f"stat {file}: no such file or directory")
        if session.files.is_folder(file):
            session.fail(("include", index), f"{file} is not a file")
        files.append(file)
    return files


def _import(source: dict[str, Any], target: dict[str, Any], session: Session) -> None:
    for section in SECTIONS:
        resources = source.get(section)
        if not isinstance(resources, dict):
            continue
        own = target.setdefault(section, {})
        if not isinstance(own, dict):
            session.fail((section,), "must be a mapping, as files are included into it")
        for name, resource in resources.items():
            if name in own and own[name] != resource:
                session.problems.add((section, name), "conflicts with imported resource")
            own[name] = resource
    session.problems.check()
