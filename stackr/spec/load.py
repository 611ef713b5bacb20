"""A stack file and its environment in, a resolved project out: the phases, in order.

For each file: read, interpolate, extend, include, merge into the files before it, check against
the schema, expand short forms. For the result: defaults, rules, absolute paths, normal form, typed
values, profiles, consistency, env files.
Source: Compose Specification; compose-go v2.9.1, loader/loader.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from stackr.errors import InvalidArgument
from stackr.spec import dotenv, extension, selection
from stackr.spec.canonical import Report, omit_empty
from stackr.spec.declared import SECTIONS
from stackr.spec.decode import EXTENSION, EXTENSIONS, Faults
from stackr.spec.defaults import SECRET_VALUE
from stackr.spec.discover import PROJECT_NAME, Discovered, discover
from stackr.spec.extends import Extender, apply_resets
from stackr.spec.files import HOST, Files
from stackr.spec.include import Scope, apply_include
from stackr.spec.interpolate import interpolate
from stackr.spec.loaded import Loaded, Tree
from stackr.spec.merge import CannotMerge
from stackr.spec.model.project import Origin, Position, Project
from stackr.spec.normal import normalize, resolve_environment
from stackr.spec.phases import (
    canonical,
    check_normal,
    check_tree,
    enforce_unicity,
    merge,
    resolve_paths,
    set_defaults,
)
from stackr.spec.problems import nearest, refuse
from stackr.spec.project import project_of
from stackr.spec.provenance import trace
from stackr.spec.rules import Path, parse
from stackr.spec.schema.validate import violations
from stackr.spec.session import LoadOptions, Session, SourceFile
from stackr.spec.sweep import further, told
from stackr.spec.syntax import OF_DOCKERFILE, is_dockerfile
from stackr.spec.validate import check_project
from stackr.spec.value_source import Provenance

__all__ = ["LoadOptions", "Loaded", "load", "load_tree", "resolve"]


def load(
    options: LoadOptions, environ: Mapping[str, str], cwd: FilePath, files: Files = HOST
) -> Project:
    """Load the project that the options name.

    environ: the process's variables. cwd: what relative paths of the options start at.
    files: where everything is read from. Raises InvalidProject with every problem of the phase
    that failed first.
    """
    loaded = load_tree(options, environ, cwd, files)
    return to_project(resolve(loaded), loaded)


def load_tree(
    options: LoadOptions, environ: Mapping[str, str], cwd: FilePath, files: Files = HOST
) -> Loaded:
    """Load the project's files to one canonical tree. Raises InvalidProject."""
    session = Session(options, environ, cwd, files)
    found = discover(session)
    environment = found.environment if options.interpolate else {PROJECT_NAME: found.name}
    scope = Scope(found.working_dir, found.working_dir, environment)
    session.sources.layers.main = tuple(file.name for file in found.files)
    tree = _load_model(list(found.files), scope, session, paths=options.resolve_paths)
    if not tree:
        raise refuse(f"empty compose file: {_file_names(found)}", hint='it needs "services"')
    if options.normalize:
        tree["name"] = found.name
        check_normal(tree, session.problems)
        session.problems.check()
        normalize(tree, environment)
    return Loaded(tree, found, session)


def _file_names(found: Discovered) -> str:
    return ", ".join(file.name for file in found.files)


def resolve(loaded: Loaded, *, env_files: bool = True) -> Tree:
    """The typed project of a canonical tree, cut down to what the options select.

    env_files: read them into `environment`; else services keep `env_file`.
    Returns sections by name, and `disabled_services`, `profiles`, `extensions`.
    Raises InvalidProject.
    """
    session, options = loaded.session, loaded.session.options
    project = _typed(loaded)
    project["profiles"] = loaded.found.profiles
    everything = project["services"]
    project["services"], project["disabled_services"] = selection.by_profiles(
        everything, project["profiles"]
    )
    if options.check_consistency:
        check_project(project, session.problems)
        session.problems.check()
    done: set[str] = set()
    _resolve_services(project, loaded, done, env_files=env_files)
    if options.services:
        selection.enable(project, options.services)
        _resolve_services(project, loaded, done, env_files=env_files)
        selection.keep(project, options.services)
    if not options.all_resources:
        selection.drop_unused(project)
    return project


def _load_model(files: list[SourceFile], scope: Scope, session: Session, *, paths: bool) -> Tree:
    """Load files that override each other; included projects come through here too."""
    tree: Tree = {}
    for file in files:
        with session.sources.reading(file.name):
            for document in file.documents:
                tree = _add_document(tree, document.value, document.resets, file, scope, session)
    set_defaults(tree)
    check_tree(tree, session.problems)
    session.problems.check()
    if paths:
        base = session.base(scope.prefix)
        resolve_paths(tree, base)
        session.report(base.faults)
        session.problems.check()
    resolve_environment(tree, scope.environment)
    return tree


def _add_document(
    tree: Tree,
    value: Any,
    resets: tuple[Path, ...],
    file: SourceFile,
    scope: Scope,
    session: Session,
) -> Tree:
    """Take one YAML document through the phases that each of them has to itself."""
    own = _interpolated(value, scope.environment, session)
    extender = Extender(
        session, scope.folder, lambda path: _load_base(path, scope.environment, session)
    )
    extender.apply(own, file.name, resets)
    apply_resets(tree, resets)
    apply_include(
        own, scope, file.name, session, lambda names, inner: _included(names, inner, session)
    )
    tree = _merged(tree, own, session)
    session.report(enforce_unicity(tree))
    _check_schema(tree, session)
    session.problems.check()
    if "version" in tree:
        del tree["version"]
        session.warn(
            f"{file.name}: the attribute `version` is obsolete, it will be ignored, "
            "please remove it to avoid potential confusion"
        )
    return _canonical(tree, session)


def _included(names: list[str], scope: Scope, session: Session) -> Tree:
    return _load_model([session.read(name) for name in names], scope, session, paths=True)


def _load_base(
    path: str, environment: Mapping[str, str], session: Session
) -> tuple[Tree, tuple[Path, ...]]:
    """Load a file that is extended: its services only have to hold once they are merged."""
    tree: Tree = {}
    resets: tuple[Path, ...] = ()
    for document in session.read(path).documents:
        own = _interpolated(document.value, environment, session)
        resets = document.resets
        apply_resets(tree, resets)
        tree = _merged(tree, own, session)
        session.report(enforce_unicity(tree))
        session.problems.check()
        tree = _canonical(tree, session)
    return tree, resets


def _interpolated(value: Any, environment: Mapping[str, str], session: Session) -> Tree:
    if not isinstance(value, dict):
        hint = OF_DOCKERFILE if isinstance(value, str) and is_dockerfile([value]) else None
        session.fail((), "top-level object must be a mapping", hint=hint)
    tree: Tree = value
    if session.options.interpolate:
        faults = interpolate(tree, environment.get, session.warn_unset, session.warn_boolean)
        if faults:
            for fault in faults:
                session.problems.add(fault.path, fault.message, hint=fault.hint)
            session.problems.take(further(tree, [fault.path for fault in faults]))
        session.problems.check()
    return tree


def _merged(tree: Tree, own: Tree, session: Session) -> Tree:
    try:
        return merge(tree, own)
    except CannotMerge as error:
        session.fail(error.path, "cannot override a value of another kind")
        raise


def _check_schema(tree: Tree, session: Session) -> None:
    if found := violations(tree):
        session.problems.take(told(found))
        session.problems.take(further(tree, [each.path for each in found], schema=False))


def _canonical(tree: Tree, session: Session) -> Tree:
    report = Report(lenient=not session.options.interpolate)
    tree = canonical(tree, report)
    session.report(report.faults)
    session.report_warnings(report.warnings)
    omit_empty(tree)
    session.report(enforce_unicity(tree))
    session.problems.check()
    return tree


def _typed(loaded: Loaded) -> Tree:
    faults = Faults()
    project: Tree = {section: {} for section in SECTIONS}
    for section, kind in SECTIONS.items():
        value = loaded.tree.get(section)
        if value is not None:
            project[section] = kind.decode(value, (section,), faults) or {}
    if _has_extension(loaded.tree):
        extension.check(loaded.tree, faults)
    loaded.session.problems.take(faults.found)
    loaded.session.problems.check()
    for secret in project["secrets"].values():
        extensions = secret.get(EXTENSIONS, {})
        if SECRET_VALUE in extensions:
            secret["content"] = extensions.pop(SECRET_VALUE)
    extensions = {key: value for key, value in loaded.tree.items() if key.startswith("x-")}
    project["extensions"] = extensions
    if extensions.get(EXTENSION):
        project["policy"] = extension.read_policy(extensions[EXTENSION], loaded)
    return project


def _has_extension(tree: Tree) -> bool:
    services = tree.get("services") or {}
    return EXTENSION in tree or any(EXTENSION in service for service in services.values())


def _resolve_services(project: Tree, loaded: Loaded, done: set[str], *, env_files: bool) -> None:
    """Read the env files and label files of the services that are enabled."""
    for name, service in project["services"].items():
        if name not in done:
            done.add(name)
            if env_files:
                _resolve_env_files(name, service, loaded)
            _resolve_label_files(name, service, loaded)


def _resolve_env_files(name: str, service: Tree, loaded: Loaded) -> None:
    session, environment = loaded.session, loaded.found.environment
    own: dict[str, str | None] = service.get("environment", {})
    for variable, value in own.items():
        if value is None:
            own[variable] = environment.get(variable)
    files = service.pop("env_file", ())
    if not files:
        return
    variables = {variable: value for variable, value in own.items() if value is not None}

    def lookup(variable: str) -> str | None:
        found = environment.get(variable)
        return found if found is not None else own.get(variable)

    for index, entry in enumerate(files):
        path = session.absolute(entry.get("path", ""))
        try:
            dotenv.read(
                session.files,
                path,
                variables,
                lookup,
                session.warn_unset,
                format=entry.get("format", ""),
            )
        except FileNotFoundError:
            if entry.get("required"):
                message = f"env file {path} not found: no such file or directory"
                hint = _near_file(session, path)
                session.problems.add(("services", name, "env_file", index), message, hint=hint)
        except InvalidArgument as error:
            session.problems.add(("services", name, "env_file", index), error.message)
    session.problems.check()
    service["environment"] = {**variables, **own}


def _near_file(session: Session, path: str) -> str:
    """What may be meant by a file that is missing, or how to do without."""
    folder, name = posixpath.split(path)
    near = nearest(name, session.files.names(folder))
    return near or "make the file; {path: ..., required: false} does without where there is none"


def _resolve_label_files(name: str, service: Tree, loaded: Loaded) -> None:
    session = loaded.session
    files = service.pop("label_file", ())
    labels: dict[str, str] = {}
    for index, file in enumerate(files):
        try:
            read: dict[str, str] = {}
            path = session.absolute(file)
            dotenv.read(session.files, path, read, labels.get, session.warn_unset)
            labels |= read
        except FileNotFoundError:
            message = f"label file {file} not found: no such file or directory"
            session.problems.add(("services", name, "label_file", index), message)
        except InvalidArgument as error:
            session.problems.add(("services", name, "label_file", index), error.message)
    session.problems.check()
    if labels:
        service["labels"] = {**labels, **service.get("labels", {})}


def to_project(project: Tree, loaded: Loaded) -> Project:
    """A typed project as the frozen models."""
    found, session = loaded.found, loaded.session

    def locate(path: str) -> Position | None:
        place = session.sources.find(parse(path))
        return Position(*session.sources.relative(place)) if place is not None else None

    def find_provenance(path: str | Path) -> Provenance:
        found = trace(loaded, parse(path) if isinstance(path, str) else path)[0]
        return found.with_files(session.sources.shown)

    attributes = {
        "name": found.name,
        "working_dir": found.working_dir,
        "compose_files": tuple(file.name for file in found.files),
        "environment": found.environment,
        "profiles": tuple(project["profiles"]),
        "warnings": tuple(session.warnings),
        "extensions": project["extensions"],
    }
    origin = Origin(
        typed=project,
        locate=locate,
        trace=find_provenance,
        files=session.files.unmetered,
        policy=project.get("policy"),
        digest=session.sources.digest,
    )
    return project_of(project["disabled_services"], attributes, origin)
