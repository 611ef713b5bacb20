"""Which files make up the project, its folder, its environment and its name.

Source: compose-go, cli/options.go; docker/compose, cmd/compose/compose.go.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from stackr.errors import InvalidArgument
from stackr.spec import dotenv
from stackr.spec.files import STDIN
from stackr.spec.foreign import foreign_text, looks_like_a_stack
from stackr.spec.interpolate import substitute
from stackr.spec.paths import is_remote
from stackr.spec.problems import nearest, refuse
from stackr.spec.session import Session, SourceFile

FILE_NAMES = (
    *("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"),
    *("stack.yaml", "stack.yml"),
)
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
STACK_OVERRIDE_NAMES = ("stack.override.yaml", "stack.override.yml")
"""They count beside a `stack.yaml` only: no other tool knows them."""
_MOST_FILES, _MOST_BYTES = 100, 1 << 20
"""How many files of a folder are looked at for one that could be meant, and how large ones."""
PROJECT_NAME = "COMPOSE_PROJECT_NAME"
_DISABLE = "COMPOSE_DISABLE_ENV_FILE"
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


class Discovered(NamedTuple):
    """What is to be loaded; `environment` is what variables are looked up in."""

    files: tuple[SourceFile, ...]
    working_dir: str
    environment: dict[str, str]
    profiles: tuple[str, ...]
    name: str


def discover(session: Session) -> Discovered:
    """Find and read the project's files, and settle its name.

    Raises InvalidProject where there is no file, or the name is not valid.
    """
    if session.options.project_name:
        checked_name(session.options.project_name)
    environment = dict(session.environ)
    environment.setdefault("PWD", str(session.cwd))
    files = list(session.options.files)
    _read_env_files(session, environment, files, may_disable=True)
    if not files:
        files = _files_of_environment(session, environment) or _search(session, files)
    _read_env_files(session, environment, files)
    if not files:
        raise refuse(
            "no configuration file provided: not found",
            hint=_way_out(session, _working_dir(session, [])),
        )
    working_dir = _working_dir(session, files)
    sources = tuple(_read(session, file) for file in files)
    name = _project_name(session, sources, working_dir, environment)
    environment[PROJECT_NAME] = name
    return Discovered(sources, working_dir, environment, _profiles(session, environment), name)


def _read(session: Session, file: str) -> SourceFile:
    path = _absolute(session, file)
    if file != STDIN and not session.files.exists(path):
        folder, name = posixpath.split(path)
        near = nearest(name, _yaml_files(session, folder))
        hint = near or _way_out(session, folder, otherwise="correct the path")
        raise refuse(f"open {path}: no such file or directory", hint=hint)
    return session.read(path)


def _absolute(session: Session, file: str) -> str:
    if file == STDIN:
        return file
    if is_remote(file):
        raise refuse(f"{file}: stack files from Git or a registry are not supported")
    return posixpath.normpath(session.absolute(file))


def _working_dir(session: Session, files: list[str]) -> str:
    folder = session.options.project_directory
    if folder:
        return posixpath.normpath(session.absolute(folder))
    first = next((file for file in files if file != STDIN), None)
    if first is None or is_remote(first):
        return str(session.cwd)
    return posixpath.dirname(_absolute(session, first))


def _read_env_files(
    session: Session, environment: dict[str, str], files: list[str], *, may_disable: bool = False
) -> None:
    """Add the variables of the env files to those of the process, which win.

    may_disable: a `.env` can say that it is only read for the variables of Docker Compose.
    """
    named = session.options.env_files or tuple(
        file for file in session.environ.get("COMPOSE_ENV_FILES", "").split(",") if file
    )
    paths = [session.absolute(file) for file in named]
    if not paths and not _is_true(environment.get(_DISABLE)):
        paths = dotenv.of_folder(_working_dir(session, files), session.files)
    if paths in session.env_files:
        return
    session.env_files.append(paths)
    try:
        variables = dotenv.read_all(session.files, paths, environment, session.warn_unset)
    except InvalidArgument as error:
        hint = _nearest_file(session, paths) if named else None
        raise refuse(error.message, hint=hint or error.hint) from error
    disabled = may_disable and not named and _is_true(variables.get(_DISABLE))
    for name, value in variables.items():
        if name.startswith("COMPOSE_") or not disabled:
            environment.setdefault(name, value)


def _nearest_file(session: Session, paths: list[str]) -> str | None:
    """Of files that are missing, one in their folder with a similar name, or who names them."""
    for path in paths:
        if not session.files.exists(path):
            folder, name = posixpath.split(path)
            by = "--env-file" if session.options.env_files else "COMPOSE_ENV_FILES"
            return nearest(name, session.files.names(folder)) or f"make it, or correct {by}"
    return None


def _is_true(value: str | None) -> bool:
    if value is None:
        return False
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise refuse(f'{_DISABLE}: parsing "{value}": invalid syntax')


def _files_of_environment(session: Session, environment: dict[str, str]) -> list[str]:
    listed = environment.get("COMPOSE_FILE")
    if listed is None:
        return []
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or ":"
    files = []
    for file in listed.split(separator):
        path = _absolute(session, file)
        if path != STDIN and not session.files.exists(path):
            raise refuse(
                f"stat {path}: no such file or directory",
                hint="make it, or correct COMPOSE_FILE",
            )
        files.append(path)
    return files


def _search(session: Session, files: list[str]) -> list[str]:
    """Look for a stack file in the folder and those above it."""
    start = Path(_working_dir(session, files))
    for folder in (start, *start.parents):
        found = _existing(session, folder, FILE_NAMES)
        if found:
            is_stack = posixpath.basename(found[0]).startswith("stack.")
            names = STACK_OVERRIDE_NAMES if is_stack else OVERRIDE_NAMES
            overrides = _existing(session, folder, names)
            for kind, candidates in (("config", found), ("override", overrides)):
                if len(candidates) > 1:
                    listed = ", ".join(candidates)
                    session.warn(f"Found multiple {kind} files with supported names: {listed}")
                    session.warn(f"Using {candidates[0]}")
            return [*found[:1], *overrides[:1]]
    return []


def _way_out(session: Session, folder: str, otherwise: str | None = None) -> str:
    """What to do where no file is found: name the one that could be meant, if there is one."""
    stacks = [name for name in _yaml_files(session, folder) if _is_stack(session, folder, name)]
    match stacks:
        case []:
            return otherwise or _what_is_there(session, folder)
        case [one]:
            return f"{one} looks like a stack file: use -f {shlex.quote(one)}"
        case _:
            return f"these look like stack files: {', '.join(stacks[:5])}; choose one by -f"


def _what_is_there(session: Session, folder: str) -> str:
    """Of a folder without a stack file: what else is there that somebody may have taken for one."""
    if session.files.exists(posixpath.join(folder, "Dockerfile")):
        text = (
            'there is a Dockerfile: write "services: {app: {build: .}}" to compose.yaml beside it'
        )
        return f"{text}, or use -f"
    for name in _yaml_files(session, folder):
        data = session.files.read_file(posixpath.join(folder, name), _MOST_BYTES)
        if data is not None and (found := foreign_text(data)):
            return f"{name} is {found.what}: {found.hint}; create {FILE_NAMES[0]}, or use -f"
    looked = f'neither compose.yaml nor stack.yaml is in "{folder}" or above it'
    return f"{looked}: create {FILE_NAMES[0]}, or use -f"


def _yaml_files(session: Session, folder: str) -> list[str]:
    names = sorted(n for n in session.files.names(folder) if n.endswith((".yaml", ".yml")))
    return names[:_MOST_FILES]


def _is_stack(session: Session, folder: str, name: str) -> bool:
    data = session.files.read_file(posixpath.join(folder, name), _MOST_BYTES)
    return data is not None and looks_like_a_stack(data)


def _existing(session: Session, folder: Path, names: tuple[str, ...]) -> list[str]:
    paths = [str(folder / name) for name in names]
    return [path for path in paths if session.files.exists(path)]


def _profiles(session: Session, environment: dict[str, str]) -> tuple[str, ...]:
    if session.options.profiles:
        return session.options.profiles
    listed = environment.get("COMPOSE_PROFILES", "")
    return tuple(profile.strip() for profile in listed.split(","))


def normalize_name(text: str) -> str:
    """What of a text can be a project's name."""
    return "".join(char for char in text.lower() if char in _NAME_CHARACTERS).lstrip("_-")


def checked_name(given: str) -> str:
    """The name, if a project can have it. Raises InvalidProject."""
    if normalize_name(given) != given:
        possible = normalize_name(re.sub(r"\s+", "-", given.strip()))
        raise refuse(
            f'invalid project name "{given}": must consist only of lowercase alphanumeric '
            "characters, hyphens, and underscores as well as start with a letter or number",
            hint=f'"{possible}" can be one' if possible else None,
        )
    return given


def _project_name(
    session: Session, files: tuple[SourceFile, ...], folder: str, environment: dict[str, str]
) -> str:
    given = session.options.project_name or environment.get(PROJECT_NAME)
    if given:
        return checked_name(given)
    written = [name for file in files for name in _names(file)]
    named_first = any(_first_name(file) for file in files)
    name = "" if named_first else normalize_name(posixpath.basename(folder))
    if not named_first:
        _warn_of_link(session, folder)
    text = next((entry for entry in reversed(written) if entry), "")
    if session.options.interpolate and text:
        try:
            text = substitute(text, environment.get, session.warn_unset)
        except ValueError as error:
            session.fail(("name",), str(error))
    if session.options.normalize:
        text = normalize_name(text)
    if not (text or name):
        session.fail(("name",), "project name must not be empty")
    return text or name


def _warn_of_link(session: Session, folder: str) -> None:
    base = posixpath.basename(folder)
    if posixpath.basename(session.files.real(folder)) != base:
        session.warn(
            f'project has been loaded without an explicit name from a symlink. Using name "{base}"'
        )


def _names(file: SourceFile) -> list[str]:
    return [_name_of(document.value) for document in file.documents]


def _first_name(file: SourceFile) -> str:
    return _name_of(file.documents[0].value) if file.documents else ""


def _name_of(value: object) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else "" if name is None else str(name)
