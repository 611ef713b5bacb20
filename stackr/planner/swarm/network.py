"""Networks as documents: overlays, unless a plugin is named."""

from __future__ import annotations

from typing import Any

from stackr.planner.desired.config_hash import canonical_json
from stackr.planner.swarm.faults import Faults
from stackr.planner.workloads.document import sealed
from stackr.runtime import labels
from stackr.runtime.workloads import Document, DocumentKind
from stackr.spec.model.network import IpamPool
from stackr.spec.model.project import Project

__all__ = ["DRIVER", "network_document"]

DRIVER = "overlay"


def network_document(project: Project, key: str, faults: Faults) -> Document:
    """One network of the stack file that is not external."""
    network = project.networks[key]
    for index, pool in enumerate(network.ipam.config):
        if not pool.subnet and (pool.gateway or pool.ip_range):
            path = ("networks", key, "ipam", "config", index)
            faults.add(path, "a gateway or a range needs its subnet")
    spec: dict[str, Any] = {
        "Driver": DRIVER if network.driver in (None, "default") else network.driver,
        "Options": dict(sorted(network.driver_opts.items())),
        "IPAM": _without_empty(
            {
                "Driver": "" if network.ipam.driver in (None, "default") else network.ipam.driver,
                "Config": [_pool(pool) for pool in network.ipam.config if pool.subnet],
            }
        ),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "EnableIPv6": bool(network.enable_ipv6),
    }
    spec = _without_empty(spec)
    own = {
        labels.STACK_NAMESPACE: project.name,
        **network.labels,
        labels.DOCUMENT_KEY: key,
        labels.SPEC: canonical_json(spec),
    }
    return sealed(Document(DocumentKind.NETWORK, network.name or key, key, spec, own))


def _pool(pool: IpamPool) -> dict[str, Any]:
    return _without_empty(
        {"Subnet": pool.subnet, "IPRange": pool.ip_range, "Gateway": pool.gateway}
    )


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
