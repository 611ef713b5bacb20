"""What a Swarm answers to the documents that it was sent, as seen of dockerd 20.10 and its source.

Five things are added: `Isolation`, `Runtime`, `ForceUpdate`, `MaxFailureRatio`, and networks have
IDs instead of names; enumerations are spelled out; an image may have got its digest.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from stackr.runtime.workloads import Document, DocumentKind, Observation, ObservedDocument

DIGEST = f"sha256:{'0' * 64}"


def answered(documents: Iterable[Document], project: str, *, pin: bool = True) -> Observation:
    """pin: images get a digest."""
    documents = list(documents)
    networks = {d.name: f"id-{d.name}" for d in documents if d.kind is DocumentKind.NETWORK}
    observed = tuple(
        ObservedDocument(
            document.kind,
            document.name,
            f"id-{document.name}",
            index + 10,
            _spec(document, networks, pin=pin),
            document.labels,
            content=document.content if document.kind is DocumentKind.CONFIG else None,
        )
        for index, document in enumerate(documents)
    )
    return Observation(project, observed, names={id: name for name, id in networks.items()})


def _spec(document: Document, networks: Mapping[str, str], *, pin: bool) -> dict[str, Any]:
    spec: dict[str, Any] = copy.deepcopy(dict(document.spec))
    if document.kind is DocumentKind.NETWORK:
        return _network(spec)
    return _service(spec, networks, pin=pin) if document.kind is DocumentKind.SERVICE else spec


def _network(spec: dict[str, Any]) -> dict[str, Any]:
    ipam = spec.setdefault("IPAM", {})
    ipam.setdefault("Driver", "default")
    ipam.setdefault("Config", [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}])
    vxlan = {"com.docker.network.driver.overlay.vxlanid_list": "4097"}
    return {**spec, "Options": {**spec.get("Options", {}), **vxlan}, "Scope": "swarm"}


def _service(spec: dict[str, Any], networks: Mapping[str, str], *, pin: bool) -> dict[str, Any]:
    task = spec["TaskTemplate"]
    task |= {"ForceUpdate": 0, "Runtime": "container"}
    container = task["ContainerSpec"]
    container["Isolation"] = "default"
    if pin and "@" not in container["Image"]:
        container["Image"] += f"@{DIGEST}"
    for entry in container.get("Configs", ()):
        entry["ConfigID"] = f"id-{entry['ConfigName']}"
    for entry in container.get("Secrets", ()):
        entry["SecretID"] = f"id-{entry['SecretName']}"
    for entry in task.get("Networks", ()):
        entry["Target"] = networks.get(entry["Target"], entry["Target"])
    task.get("RestartPolicy", {}).setdefault("Condition", "any")
    for name in ("UpdateConfig", "RollbackConfig"):
        config = spec.get(name, {})
        for key, value in (("FailureAction", "pause"), ("Order", "stop-first")):
            config.setdefault(key, value)
        config.setdefault("MaxFailureRatio", 0)
    spec.setdefault("EndpointSpec", {}).setdefault("Mode", "vip")
    for port in spec["EndpointSpec"].get("Ports", ()):
        port.setdefault("Protocol", "tcp")
        port.setdefault("PublishMode", "ingress")
    return spec
