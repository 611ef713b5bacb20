"""A service, network or volume as the JSON that its container's label keeps, and its hash.

The JSON is sparse (no defaults) and sorted; lists whose order means nothing are sorted too, so
that equal meaning gives equal text. What does not go into a container is left out, and so never
recreates one.
Source: Docker Compose, pkg/compose/hash.go (`ServiceHash`), whose list of left-out fields this
extends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackr.spec.view import View, given

if TYPE_CHECKING:
    from stackr.spec.model.service import Service

__all__ = ["NOT_IN_CONTAINER", "canonical_json", "digest", "service_spec", "sparse"]

NOT_IN_CONTAINER: Mapping[str, str] = {
    "name": "it is the container's label",
    "build": "an image's content shows in its ID",
    "pull_policy": "it is about the image's tag, not the container",
    "scale": "replicas come and go without the others",
    "depends_on": "it orders starts only",
    "profiles": "it selects services only",
    "develop": "it is about the watched sources",
    "extends": "it is resolved",
    "env_file": "it is resolved into environment",
    "label_file": "it is resolved into labels",
    "attach": "it is about the terminal of `up`",
    "extensions": "no engine sees it",
}
"""The fields of a service that never recreate its containers, and why."""

_IN_DEPLOY = ("resources", "restart_policy")

_UNORDERED = frozenset(
    {
        "cap_add",
        "cap_drop",
        "configs",
        "device_cgroup_rules",
        "expose",
        "external_links",
        "group_add",
        "links",
        "ports",
        "secrets",
        "security_opt",
        "tmpfs",
        "volumes",
    }
)


def sparse(value: Any) -> Any:
    """A model as JSON values, without the fields that hold their default."""
    kind = type(value)
    if kind is View or hasattr(kind, "model_fields"):
        return {name: sparse(field) for name, field in given(value)}
    if issubclass(kind, Mapping):
        return {key: sparse(item) for key, item in value.items()}
    if issubclass(kind, (tuple, list)):
        return [sparse(item) for item in value]
    return value


def service_spec(service: Service) -> dict[str, Any]:
    """What of a service its containers are made of."""
    spec: dict[str, Any] = {}
    for name, value in given(service):
        if name not in NOT_IN_CONTAINER:
            plain = sparse(value)
            spec[name] = sorted(plain, key=canonical_json) if name in _UNORDERED else plain
    deploy = {key: spec["deploy"][key] for key in _IN_DEPLOY if key in spec.get("deploy", ())}
    spec.pop("deploy", None)
    return {**spec, "deploy": deploy} if deploy else spec


def canonical_json(value: Any) -> str:
    """Compact, with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """64 hex digits, as Docker Compose's config hashes have."""
    return hashlib.sha256(text.encode()).hexdigest()
