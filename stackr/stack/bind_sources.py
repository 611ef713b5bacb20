"""Bind sources that are not there and look like files: an engine would make folders of them.

A misspelt `./ngnix.conf` becomes an empty folder of that name, which is then mounted onto a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from stackr.spec.model.project import Project
from stackr.spec.problems import nearest

__all__ = ["missing_file", "missing_files"]

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


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry, _ in zip(entries, range(_MOST_NAMES), strict=False)
                if entry.is_file()
            ]
    except OSError:
        return []
    return sorted(names)
