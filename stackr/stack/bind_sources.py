"""Files that services are given and that are not there.

Of a bind source that looks like a file, an engine would make a folder: a misspelt `./ngnix.conf`
becomes an empty folder of that name, which is then mounted onto a file. A secret or config without
its file cannot be given at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator

from stackr.errors import InvalidProject
from stackr.spec.model.project import Project
from stackr.spec.problems import Problem, nearest

__all__ = ["check_grants", "folder_hint", "missing_context", "missing_file", "missing_files"]

_FILE = re.compile(r"\.env(?:\..*)?|.+\.(?!d$)[A-Za-z][A-Za-z0-9]*")
"""A name with a suffix, but for those of folders such as conf.d."""
_MOST_NAMES = 10_000


def missing_files(project: Project) -> Iterator[str]:
    """A warning for each such source of the project's services."""
    for name, service in project.services.items():
        for index, volume in enumerate(service.volumes):
            makes_folder = volume.bind is None or volume.bind.create_host_path
            if volume.type == "bind" and makes_folder and volume.source:
                message = missing_file(volume.source)
                if message is not None:
                    yield f"services.{name}.volumes[{index}]: {message}"


def check_grants(project: Project, services: Iterable[str]) -> None:
    """Raises InvalidProject for secrets and configs of these services whose files are missing."""
    problems = [
        _missing_grant(project, f"{attribute}.{grant.source}", name, source)
        for name in services
        for attribute in ("secrets", "configs")
        for grant in getattr(project.services[name], attribute)
        if (source := _file_of(project, attribute, grant.source)) and not os.path.lexists(source)
    ]
    if problems:
        problems = list(dict.fromkeys(problems))
        raise InvalidProject(str(problems[0]), problems=problems, hint=problems[0].hint)


def _file_of(project: Project, attribute: str, name: str) -> str | None:
    found = getattr(project, attribute).get(name)
    return None if found is None or found.external else found.file


def _missing_grant(project: Project, path: str, service: str, source: str) -> Problem:
    place = project.position(f"{path}.file")
    where = f"{place}: " if place is not None else ""
    folder, name = os.path.split(source)
    hint = nearest(name, _files(folder)) or "make the file, or correct its path"
    text = f'{where}{path}.file: "{source}" does not exist; service "{service}" is given it'
    return Problem.of(text, hint=hint, snippet="")


def missing_file(source: str) -> str | None:
    """What to say of a bind source; None where it is there, or may well be meant as a folder.

    source: an absolute path.
    """
    if os.path.lexists(source):
        return None
    folder, name = os.path.split(source.rstrip("/"))
    near = nearest(name, _files(folder))
    if near is None and _FILE.fullmatch(name) is None:
        return None
    told = f'"{source}" does not exist, and a folder would be made there'
    return f"{told}: {near}" if near else told


def missing_context(context: str, dockerfile: str) -> str | None:
    """How to mend a build whose context or Dockerfile is not there; None where they are, or are
    fetched. dockerfile: its path, from the context; "" where it is not a file of its own.
    """
    if not context.startswith("/"):
        return None
    if not os.path.lexists(context):
        folder, name = os.path.split(context.rstrip("/"))
        return nearest(name, _folders(folder)) or "make the folder, or correct its path"
    path = os.path.join(context, dockerfile)
    if not dockerfile or os.path.lexists(path):
        return None
    folder, name = os.path.split(path)
    return nearest(name, _files(folder)) or "write it, or name another with build.dockerfile"


def folder_hint(message: str) -> str | None:
    """How to mend that a folder of this host was mounted onto a file; None for another error."""
    found = _ONTO_FILE.search(message)
    if found is None or not _is_empty_folder(found["source"]):
        return None
    source, target = found["source"], found["target"]
    return (
        f'"{source}" is a folder, made where there was no file, and {target} a file of the image: '
        "remove the folder, and put the file there"
    )


_ONTO_FILE = re.compile(
    r'error mounting "(?P<source>[^"]+)" to rootfs at "(?P<target>[^"]+)".*a directory onto a file'
)


def _is_empty_folder(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _files(folder: str) -> list[str]:
    return _names(folder, os.DirEntry.is_file)


def _folders(folder: str) -> list[str]:
    return _names(folder, os.DirEntry.is_dir)


def _names(folder: str, is_wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            few = zip(entries, range(_MOST_NAMES), strict=False)
            return sorted(entry.name for entry, _ in few if is_wanted(entry))
    except OSError:
        return []
