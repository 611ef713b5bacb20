"""YAML files of other tools, told apart from stack files by the keys at their top.

Nothing is guessed from a file's name; what a stack file may have at its top is never another's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stackr.spec.source import BadSource, Budget, documents

__all__ = ["Foreign", "foreign", "foreign_text", "looks_like_a_stack"]

_SECTIONS = frozenset(("services", "include", "networks", "volumes", "configs", "secrets"))
_MOST_DOCUMENTS = 20


class Foreign(NamedTuple):
    """A file that another tool reads. what: with its article; key: by which it is told."""

    what: str
    key: str
    hint: str


_BY_KEYS: Mapping[tuple[str, ...], Foreign] = {
    ("apiVersion", "kind"): Foreign(
        "a Kubernetes manifest", "apiVersion", "kubectl apply -f FILE takes it"
    ),
    ("apiVersion", "version"): Foreign(
        "a Helm chart's description", "apiVersion", "helm install takes its folder"
    ),
    ("jobs", "on"): Foreign("a GitHub workflow", "jobs", "GitHub Actions runs it"),
    ("openapi",): Foreign("an OpenAPI description", "openapi", "it describes an HTTP API"),
    ("swagger",): Foreign("an OpenAPI description", "swagger", "it describes an HTTP API"),
    ("stages",): Foreign("a GitLab pipeline", "stages", "GitLab CI runs it"),
}


def foreign(value: Any) -> Foreign | None:
    """Whose file a document is; None for a stack file, or where nothing tells."""
    if not isinstance(value, dict) or not _SECTIONS.isdisjoint(value):
        return None
    for keys, found in _BY_KEYS.items():
        if all(key in value for key in keys):
            kind = value.get("kind")
            if found.key == "apiVersion" and isinstance(kind, str) and kind.isalnum():
                return found._replace(what=f"{found.what} ({kind[:40]})")
            return found
    return None


def foreign_text(data: bytes) -> Foreign | None:
    """Whose file a text is, by its documents; None for a stack file, or where nothing tells."""
    try:
        found = itertools.islice(documents(data, Budget()), _MOST_DOCUMENTS)
        return next((owner for each in found if (owner := foreign(each.value))), None)
    except BadSource:
        return None


def looks_like_a_stack(data: bytes) -> bool:
    """Whether a file's text is YAML whose services are a mapping of mappings."""
    try:
        found = itertools.islice(documents(data, Budget()), _MOST_DOCUMENTS)
        return any(_has_services(each.value) for each in found)
    except BadSource:
        return False


def _has_services(value: Any) -> bool:
    services = value.get("services") if isinstance(value, dict) else None
    return isinstance(services, dict) and _are_mappings(services.values())


def _are_mappings(values: Iterable[Any]) -> bool:
    found = list(values)
    return bool(found) and all(isinstance(each, dict) for each in found)
