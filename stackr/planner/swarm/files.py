"""Configs and secrets as documents. They cannot change, so their names tell what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from stackr.planner.swarm.faults import Faults
from stackr.planner.workloads.document import HASH_DIGITS, sealed
from stackr.runtime import labels
from stackr.runtime.workloads import Document, DocumentKind
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.rules import Path

__all__ = ["LONGEST_NAME", "file_document", "file_name"]

LONGEST_NAME = 64
_KINDS: Mapping[str, tuple[DocumentKind, int]] = {
    "configs": (DocumentKind.CONFIG, 1000 << 10),
    "secrets": (DocumentKind.SECRET, 500 << 10),
}
"""Each section's kind, and how many bytes are too many.

Source: moby, swarmkit manager/controlapi/{config,secret}.go, api/validation/secrets.go.
"""


def file_document(project: Project, section: str, key: str, faults: Faults) -> Document:
    """One config or secret of the stack file that is not external."""
    source: FileObject = getattr(project, section)[key]
    kind, limit = _KINDS[section]
    path: Path = (section, key)
    held = _content(project, source, path, faults) if not source.driver else None
    content = held or b""
    if len(content) >= limit:
        told = f"{len(content)} bytes; a {kind.value} of a Swarm has less than {limit >> 10} KiB"
        faults.add(path, told)
    elif held is not None and not held:
        faults.add(path, f"it is empty, and a Swarm takes no empty {kind.value}")
    spec: dict[str, Any] = {}
    if source.driver:
        spec["Driver"] = {"Name": source.driver, "Options": dict(source.driver_opts)}
    if source.template_driver:
        spec["Templating"] = {"Name": source.template_driver}
    name = file_name(source, key, content, spec)
    if len(name) > LONGEST_NAME:
        faults.add(path, f'the name "{name}" has more than {LONGEST_NAME} characters')
    return sealed(
        Document(
            kind,
            name,
            key,
            dict(sorted(spec.items())),
            {
                labels.STACK_NAMESPACE: project.name,
                **source.labels,
                labels.DOCUMENT_KEY: key,
            },
            content,
        )
    )


def file_name(source: FileObject, key: str, content: bytes, spec: Mapping[str, Any]) -> str:
    """`demo_conf-0123456789ab`; what else cannot change is in the hash as well."""
    told = content + (repr(sorted(spec.items())).encode() if spec else b"")
    return f"{source.name or key}-{hashlib.sha256(told).hexdigest()[:HASH_DIGITS]}"


def _content(project: Project, source: FileObject, path: Path, faults: Faults) -> bytes | None:
    """None where a problem says why."""
    if source.content is not None:
        return source.content.encode()
    if source.environment is not None:
        value = project.environment.get(source.environment)
        if value is None:
            told = f'the variable "{source.environment}" is not set'
            faults.add((*path, "environment"), told)
            return None
        if "\ufffd" in value:
            faults.add((*path, "environment"), f'"{source.environment}": not UTF-8')
        return value.encode()
    try:
        return project.read(source.file or "")
    except OSError as error:
        told = f"cannot be read: {error.strerror or error}"
        faults.add((*path, "file"), told)
        return None
