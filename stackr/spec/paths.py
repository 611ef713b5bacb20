"""Relative paths to absolute ones; attributes name a rule with `IsPath`.

A file that is included or extended gets its paths made relative to the main project's folder
first; they become absolute with the rest. Source: compose-go, paths/.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from stackr.spec.files import Files
from stackr.spec.rules import Branch, Path
from stackr.spec.short import clean_path
from stackr.spec.units import go_text

_REMOTE_CONTEXT = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")
_REMOTE_FILE = re.compile(
    r"(github\.com/|git://|ssh://|oci://|https?://[^#]*\.git(#|\Z)|[\w-]+@[\w.-]+:)", re.ASCII
)
_WINDOWS_ABSOLUTE = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\/]+[\\/][^\\/]+[\\/]")


class Base(NamedTuple):
    """What paths are relative to; `home` is None where the environment has no HOME."""

    folder: str
    home: str | None
    files: Files
    faults: list[tuple[Path, str]]


Rule: TypeAlias = Callable[[Any, Branch[Any], Path, Base], Any]


def join(folder: str, path: str) -> str:
    """The two as one path, without `.` and `..`; a relative folder gives a relative path."""
    return clean_path(f"{folder}/{path}" if folder and path else folder or path)


def locate(folder: str, path: str) -> str:
    """A path that starts at a folder unless it is absolute."""
    return path if posixpath.isabs(path) else join(folder, path)


def is_remote(path: str) -> bool:
    """Whether an included or extended file is to come from Git or a registry."""
    return _REMOTE_FILE.match(path) is not None


def _home(path: str, base: Base) -> str:
    return join(base.home, path[1:]) if path.startswith("~") and base.home else path


def absolute(path: str, base: Base) -> str:
    """A path that starts at the base, or at the user's home where it begins with `~`."""
    return locate(base.folder, _home(path, base))


def _refuse(value: Any, path: Path, base: Base, wanted: str) -> Any:
    """Note what no path can be made of; a schema has not always seen to that."""
    base.faults.append((path, f"must be {wanted}, not {go_text(value)}"))
    return value


def file(value: Any, branch: Branch[Any], path: Path, base: Base) -> Any:
    if isinstance(value, list):
        return [file(entry, branch, path, base) for entry in value]
    if not isinstance(value, str):
        return _refuse(value, path, base, "a string")
    return absolute(value, base) if value else value


def context(value: Any, branch: Branch[Any], path: Path, base: Base) -> Any:
    if not isinstance(value, str):
        return _refuse(value, path, base, "a string")
    if "://" in value or value.startswith(("service:", *_REMOTE_CONTEXT)):
        return value
    return file(value, branch, path, base)


def extended(value: Any, branch: Branch[Any], path: Path, base: Base) -> Any:
    if not isinstance(value, str):
        return _refuse(value, path, base, "a string")
    return value if is_remote(value) else file(value, branch, path, base)


def maybe_windows(value: Any, branch: Branch[Any], path: Path, base: Base) -> Any:
    if not isinstance(value, str):
        return value
    expanded = _home(value, base)
    if posixpath.isabs(expanded) or _WINDOWS_ABSOLUTE.match(expanded):
        return expanded
    return join(base.folder, expanded)


def watched(value: Any, branch: Branch[Any], path: Path, base: Base) -> Any:
    absolute = file(value, branch, path, base)
    return _without_link(absolute, base.files) if isinstance(absolute, str) else absolute


def _without_link(path: str, files: Files) -> str:
    """Follow the first symbolic link of an absolute path."""
    current = "/"
    for part in filter(None, path.split("/") if posixpath.isabs(path) else ()):
        current = posixpath.join(current, part)
        real = files.real(current)
        if real != current:
            return path.replace(current, real, 1)
    return path


def mount(value: Any, branch: Branch[Any], path: Path, base: Base) -> Any:
    if isinstance(value, dict) and value.get("type") == "bind":
        if "source" not in value:
            base.faults.append(
                (path, 'invalid mount config for type "bind": field Source must not be empty')
            )
        elif not isinstance(value["source"], str):
            _refuse(value["source"], (*path, "source"), base, "a string")
        else:
            value["source"] = maybe_windows(value["source"], branch, path, base)
    return value


def driver_opts(value: Any, branch: Branch[Any], path: Path, base: Base) -> Any:
    if not isinstance(value, dict) or value.get("driver") != "local":
        return value
    options = value.get("driver_opts", {})
    if not isinstance(options, dict):
        _refuse(options, (*path, "driver_opts"), base, "a mapping")
    elif options.get("o") == "bind" and "device" in options:
        options["device"] = maybe_windows(options["device"], branch, path, base)
    return value
