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
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from stackr.spec.model.base import Model, given

if TYPE_CHECKING:
    from stackr.spec.model.service import Service

__all__ = ["NOT_IN_CONTAINER", "canonical_json", "digest", "service_spec", "sparse"]

_CLUSTER = "only a cluster has a use for it"

NOT_IN_CONTAINER: Mapping[str, str] = {
    "name": "it is the container's label",
    "build": "what is built shows in the image's ID",
    "pull_policy": "it is about the image's tag, not the container",
    "scale": "replicas come and go without the others",
    "depends_on": "it orders starts and stops",
    "profiles": "it selects services",
    "develop": "it is about the watched sources",
    "extends": "it is resolved into the service's other attributes",
    "env_file": "it is resolved into `environment`",
    "label_file": "it is resolved into `labels`",
    "attach": "it is about the terminal of `up`",
    "extensions": "no engine sees it",
    "ports.*.name": "it is for people and other tools",
    "ports.*.app_protocol": "it is for people and other tools",
    "deploy.mode": "replicas come and go without the others",
    "deploy.replicas": "replicas come and go without the others",
    "deploy.labels": _CLUSTER,
    "deploy.placement": _CLUSTER,
    "deploy.endpoint_mode": _CLUSTER,
    "deploy.update_config": "it says how the next update goes",
    "deploy.rollback_config": "it says how the next rollback goes",
    "deploy.resources.reservations.cpus": _CLUSTER,
    "deploy.resources.reservations.generic_resources": _CLUSTER,
    "deploy.restart_policy.delay": _CLUSTER,
    "deploy.restart_policy.window": _CLUSTER,
}
"""The attributes of a service that never recreate its containers, and why; `*` is any item."""

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
    if issubclass(kind, Model):
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
        left_out = _LEFT_OUT.get(name, _NOTHING)
        if left_out is None:
            continue
        plain = sparse(value)
        if left_out:
            plain = _without(plain, left_out)
            if not plain:
                continue
        spec[name] = sorted(plain, key=canonical_json) if name in _UNORDERED else plain
    return spec


_Names: TypeAlias = dict[str, Any]
"""Names of a map, or `*` of a list: what to leave out below each (None: all), again as names."""

_NOTHING: _Names = {}


def _as_tree(patterns: Iterable[str]) -> _Names:
    tree: _Names = {}
    for pattern in patterns:
        *above, last = pattern.split(".")
        below = tree
        for name in above:
            below = below.setdefault(name, {})
        below[last] = None
    return tree


_LEFT_OUT = _as_tree(NOT_IN_CONTAINER)


def _without(value: Any, names: _Names) -> Any:
    """Without these names, and without a map that has nothing else.

    A `restart_policy` stays: even an empty one undoes what `restart` says.
    """
    if isinstance(value, list):
        return [_without(item, names["*"]) for item in value]
    kept = {}
    for name, entry in value.items():
        below = names.get(name, _NOTHING)
        if below is None:
            continue
        if below:
            entry = _without(entry, below)
            if not entry and name != "restart_policy":
                continue
        kept[name] = entry
    return kept


def canonical_json(value: Any) -> str:
    """Compact, with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """64 hex digits, as Docker Compose's config hashes have."""
    return hashlib.sha256(text.encode()).hexdigest()
