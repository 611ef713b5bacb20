"""Documents and the Engine API's objects of a Swarm, one made of the other. Pure.

A document's spec has the API's own keys, but for name, labels and data, which are put where the API
has them. Nothing is normalised: that is the dialect's.
Source: Docker Engine API, ServiceSpec, ConfigSpec, SecretSpec, NetworkCreate, Network.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackr.errors import NotFound
from stackr.runtime.docker.observe import unix_time
from stackr.runtime.workloads import Document, DocumentKind, ObservedDocument, UpdateState

__all__ = [
    "PATHS",
    "References",
    "document_body",
    "image_of",
    "network_document",
    "observed_document",
    "update_state",
]

Json = dict[str, Any]

PATHS: Mapping[DocumentKind, str] = {
    DocumentKind.NETWORK: "/networks",
    DocumentKind.CONFIG: "/configs",
    DocumentKind.SECRET: "/secrets",
    DocumentKind.SERVICE: "/services",
}
_NETWORK_SPEC = (
    *("Driver", "Options", "IPAM", "Internal", "Attachable", "Ingress", "EnableIPv6", "Scope"),
    *("ConfigFrom", "ConfigOnly"),
)
_APART = ("Name", "Labels", "Data")


@dataclass(frozen=True, slots=True)
class References:
    """The IDs of configs and secrets, by name: the API wants both in a service."""

    configs: Mapping[str, str]
    secrets: Mapping[str, str]


def document_body(document: Document, references: References | None = None) -> Json:
    """The body that creates it; of a service, the whole new spec of an update, too.

    Raises NotFound for a config or secret to which a service refers and that has no ID.
    """
    body = {**copy.deepcopy(dict(document.spec)), "Name": document.name}
    body["Labels"] = dict(document.labels)
    if document.content is not None:
        body["Data"] = base64.b64encode(document.content).decode()
    if document.kind is DocumentKind.NETWORK:
        body["CheckDuplicate"] = True  # older engines allow two networks of one name without it
    if document.kind is DocumentKind.SERVICE and references is not None:
        _refer(body, document.name, references)
    return body


def _refer(body: Json, service: str, references: References) -> None:
    container: Json = (body.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    for kind, ids in (("Config", references.configs), ("Secret", references.secrets)):
        for entry in container.get(f"{kind}s") or ():
            name = entry[f"{kind}Name"]
            if name not in ids:
                raise NotFound(f'service "{service}": {kind.lower()} "{name}": not found')
            entry[f"{kind}ID"] = ids[name]


def image_of(spec: Mapping[str, Any]) -> str:
    """The image of a service's spec; "" for one that has none."""
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return str(container.get("Image") or "")


def observed_document(kind: DocumentKind, item: Json) -> ObservedDocument:
    """From a config, a secret or a service, listed or inspected."""
    spec: Json = item["Spec"]
    is_config = kind is DocumentKind.CONFIG
    return ObservedDocument(
        kind=kind,
        name=spec.get("Name") or "",
        id=item["ID"],
        version=item["Version"]["Index"],
        spec={key: value for key, value in spec.items() if key not in _APART},
        labels=spec.get("Labels") or {},
        has_previous=bool(item.get("PreviousSpec")),
        update=update_state(item),
        content=base64.b64decode(spec.get("Data") or "") if is_config else None,
        created_at=unix_time(item.get("CreatedAt")),
        updated_at=unix_time(item.get("UpdatedAt")),
    )


def network_document(item: Json) -> ObservedDocument:
    """A network has no version: it never changes."""
    created = unix_time(item.get("Created"))
    return ObservedDocument(
        kind=DocumentKind.NETWORK,
        name=item["Name"],
        id=item["Id"],
        version=0,
        spec={key: item[key] for key in _NETWORK_SPEC if key in item},
        labels=item.get("Labels") or {},
        created_at=created,
        updated_at=created,
    )


def update_state(service: Json) -> UpdateState:
    found: Json = service.get("UpdateStatus") or {}
    return UpdateState(
        state=found.get("State") or "",
        message=found.get("Message") or "",
        started_at=unix_time(found.get("StartedAt")),
        completed_at=unix_time(found.get("CompletedAt")),
    )
