"""Documents of small services, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from stackr.runtime.labels import STACK_NAMESPACE
from stackr.runtime.workloads import Document, DocumentKind, Workloads, WorkloadStatus

__all__ = ["document", "reached", "service"]

_DEADLINE_S = 180.0
_SECOND_NS = 1_000_000_000
_SLEEP = "trap 'exit 0' TERM; sleep 1000 & wait"


def document(
    kind: DocumentKind,
    name: str,
    *,
    project: str = "demo",
    content: bytes | None = None,
    **spec: Any,
) -> Document:
    """With the label of the project, and the project's name before its own."""
    labels = {STACK_NAMESPACE: project}
    return Document(kind, f"{project}_{name}", name, spec, labels, content)


def service(
    image: str,
    name: str = "web",
    script: str = _SLEEP,
    *,
    project: str = "demo",
    container: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    **spec: Any,
) -> Document:
    """One replica of a shell's script, which ends quickly. The rest is laid over its spec."""
    task = {
        "ContainerSpec": {
            "Image": image,
            "Command": ["sh", "-c", script],
            "StopGracePeriod": _SECOND_NS,
            **(container or {}),
        },
        "RestartPolicy": {"Condition": "any", "Delay": _SECOND_NS // 10, "MaxAttempts": 0},
        **(template or {}),
    }
    given = {"TaskTemplate": task, "Mode": {"Replicated": {"Replicas": 1}}, **spec}
    return document(DocumentKind.SERVICE, name, project=project, **given)


async def reached(
    workloads: Workloads,
    name: str,
    fact: Callable[[WorkloadStatus], Any],
    *,
    project: str = "demo",
) -> WorkloadStatus:
    """The status of a service in which the fact holds."""
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        (status,) = await workloads.status(project, services=[f"{project}_{name}"])
        if fact(status):
            return status
        assert time.monotonic() < deadline, f"not reached in time: {status}"
        await asyncio.sleep(0.1)
