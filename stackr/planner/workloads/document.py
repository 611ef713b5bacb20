"""Documents and their hashes: equal meaning, equal hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stackr.planner.desired.config_hash import canonical_json, digest
from stackr.planner.desired.ownership import COPY_LABELS
from stackr.runtime import labels
from stackr.runtime.workloads import Document, DocumentKind, ObservedDocument

__all__ = [
    "HASH_DIGITS",
    "OWN_LABELS",
    "is_one_off",
    "key_of",
    "named_by_hash",
    "plain_labels",
    "sealed",
]

HASH_DIGITS = 12
"""Of a content's hash in a name."""
OWN_LABELS = frozenset(
    {
        *COPY_LABELS,
        labels.STACK_NAMESPACE,
        labels.STACK_IMAGE,
        labels.DOCUMENT_HASH,
        labels.DOCUMENT_KEY,
        labels.SPEC,
    }
)
"""Labels that a document has for stackr's sake, or docker's, and of which no stack file knows."""


def sealed(document: Document) -> Document:
    """The document with its hash, which its label says as well."""
    hashed = _hash(document.kind, document.spec, document.labels, document.content)
    return replace(
        document,
        hash=hashed,
        labels={**document.labels, labels.DOCUMENT_HASH: hashed[: 2 * HASH_DIGITS]},
    )


def named_by_hash(document: Document) -> Document:
    """A sealed document under a name that another meaning would not have: it runs once."""
    return replace(document, name=f"{document.name}-{document.hash[:HASH_DIGITS]}")


def key_of(observed: ObservedDocument) -> str:
    """The stack file's name of what is there, also of what `docker stack deploy` made."""
    stack = observed.labels.get(labels.STACK_NAMESPACE, "")
    return observed.labels.get(labels.DOCUMENT_KEY) or observed.name.removeprefix(f"{stack}_")


def is_one_off(document: ObservedDocument) -> bool:
    """Whether it is a job of `run`, of which no stack file knows."""
    return document.labels.get(labels.ONEOFF) == "True"


def plain_labels(all_labels: Mapping[str, str]) -> dict[str, str]:
    """Those that a stack file may have."""
    return {key: value for key, value in all_labels.items() if key not in OWN_LABELS}


def _hash(
    kind: DocumentKind,
    spec: Mapping[str, Any],
    all_labels: Mapping[str, str],
    content: bytes | None,
) -> str:
    apart = (labels.DOCUMENT_HASH, *COPY_LABELS)
    told = {key: value for key, value in all_labels.items() if key not in apart}
    held = hashlib.sha256(content).hexdigest() if content is not None else ""
    return digest(canonical_json([kind.value, spec, told, held]))
