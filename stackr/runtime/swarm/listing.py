"""What the manager lists of a stack, in calls side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from stackr.runtime.docker import create
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import STACK_NAMESPACE
from stackr.runtime.swarm import revisions
from stackr.runtime.swarm.documents import PATHS
from stackr.runtime.workloads import DocumentKind, RevisionRecord

__all__ = ["KINDS", "Listing", "listed"]

Json = dict[str, Any]

KINDS = (DocumentKind.CONFIG, DocumentKind.SECRET, DocumentKind.SERVICE)
"""What is listed by label: of networks, all are wanted, for their names."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Of one project, as the API has it. networks: all that the manager knows."""

    networks: Sequence[Json]
    revisions: tuple[RevisionRecord, ...]
    documents: Mapping[DocumentKind, Sequence[Json]]

    @classmethod
    async def of(cls, client: Client, project: str) -> Self:
        own = f"{STACK_NAMESPACE}={project}"
        networks, kept, *lists = await asyncio.gather(
            client.call("GET", "/networks"),
            revisions.listed(client, project),
            *(listed(client, kind, own) for kind in KINDS),
        )
        return cls(networks, kept, dict(zip(KINDS, lists, strict=True)))


async def listed(client: Client, kind: DocumentKind, *labels: str) -> list[Json]:
    """Those with all of these labels."""
    query = {"filters": json.dumps(create.filters(labels))}
    return list(await client.call("GET", PATHS[kind], query=query) or ())
