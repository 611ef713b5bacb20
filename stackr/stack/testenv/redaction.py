"""Secrets are taken out of whatever is written about an environment: logs, states, plans, reports.

What is secret is known by its name (a variable such as DB_PASSWORD) or its place (the stack's
secrets); every occurrence of such a value is masked, and so is what looks like a password in a URL
or an assignment. A value that the stack shows openly elsewhere (the user `postgres` with the
password `postgres`) is no secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stackr.spec.mask import MASK, is_secret_name, masked
from stackr.spec.model.project import Project

__all__ = ["Redactor", "redactor_of", "secret_values"]

_SHORTEST = 5
_FILE_BYTES = 1 << 16
_NO_SECRETS = frozenset({"PWD", "OLDPWD"})
_HARMLESS = frozenset({"false", "none", "null", "default", "disabled", "enabled", "localhost"})
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=")


class Redactor:
    """Masks these values, and what looks like a secret by itself."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted(set(secrets), key=lambda value: (-len(value), value))
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        shown, _ = masked("", text)
        return str(shown)

    def tree(self, value: Any, name: str = "") -> Any:
        """A JSON value; one under a name that sounds secret is masked whole."""
        if isinstance(value, dict):
            return {key: self.tree(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(item) for item in value]
        if not isinstance(value, str):
            return value
        if value and name and is_secret_name(name):
            return MASK
        return self._string(value)

    def _string(self, value: str) -> str:
        """`NAME=value` of an environment, JSON in a label, or any text."""
        assignment = _ASSIGNMENT.match(value)
        if assignment and is_secret_name(assignment[1]):
            return f"{assignment[0]}{MASK}"
        if value.startswith("{"):
            try:
                tree = self.tree(json.loads(value))
                return json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
            except (ValueError, RecursionError):
                return self.text(value)
        return self.text(value)


def redactor_of(project: Project) -> Redactor:
    """For what is written about this project."""
    return Redactor(secret_values(project))


def secret_values(project: Project) -> set[str]:
    """Every value, line by line, that must not be shown."""
    open_values = set(_open_values(project))
    return {
        line
        for value in _secrets(project)
        for line in map(str.strip, value.splitlines())
        if len(line) >= _SHORTEST and line.lower() not in _HARMLESS and line not in open_values
    }


def _secrets(project: Project) -> Iterator[str]:
    for variables in _environments(project):
        for name, value in variables.items():
            if value and name not in _NO_SECRETS and is_secret_name(name):
                yield value
    for secret in project.secrets.values():
        if secret.content is not None:
            yield secret.content
        elif secret.environment is not None:
            yield project.environment.get(secret.environment, "")
        elif secret.file and not secret.external:
            yield _content(secret.file)


def _content(file: str) -> str:
    try:
        with Path(file).open("rb") as source:
            return source.read(_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _environments(project: Project) -> Iterator[Mapping[str, str | None]]:
    yield project.environment
    for service in project.services.values():
        yield service.environment
        if service.build is not None:
            yield service.build.args


def _open_values(project: Project) -> Iterator[str]:
    """What the stack file shows without secrecy."""
    yield project.name
    for name, service in project.services.items():
        yield name
        yield from re.split(r"[/:@]", service.image or "")
        yield from (v for k, v in service.environment.items() if v and not is_secret_name(k))
