"""Docker Swarm behind the seam `stackr.runtime.workloads`: each method is a call or two of its API.

It decides nothing. Documents become the API's objects and back in `documents.py` and `tasks.py`;
what a manager refuses is put in plain words by `refusals.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.docker import create, distribution
from stackr.runtime.docker.client import Client
from stackr.runtime.docker.frames import log_entries
from stackr.runtime.docker.observe import engine_info
from stackr.runtime.docker.runtime import DockerRuntime
from stackr.runtime.labels import STACK_NAMESPACE
from stackr.runtime.swarm import expiries, jobs, networks, nodes, revisions
from stackr.runtime.swarm.documents import (
    PATHS,
    References,
    document_body,
    image_of,
    network_document,
    observed_document,
)
from stackr.runtime.swarm.events import project_events
from stackr.runtime.swarm.listing import KINDS, Listing, listed
from stackr.runtime.swarm.logs import task_entries
from stackr.runtime.swarm.refusals import moved_on, refusals
from stackr.runtime.swarm.role import nodes_of
from stackr.runtime.swarm.tasks import asked_ports, workload_status
from stackr.runtime.types import Closing, EngineInfo
from stackr.runtime.workloads import (
    Document,
    DocumentKind,
    Expiry,
    NodeState,
    Observation,
    ObservedDocument,
    RevisionRecord,
    TaskLogEntry,
    WorkloadCapabilities,
    WorkloadEvent,
    WorkloadStatus,
)

__all__ = ["SwarmWorkloads"]

Json = dict[str, Any]


class SwarmWorkloads(Closing):
    """See `stackr.runtime.workloads.Workloads`; `open` asks whether the engine manages a Swarm."""

    dialect = "swarm"

    def __init__(
        self,
        client: Client,
        capabilities: WorkloadCapabilities,
        environ: Mapping[str, str],
    ) -> None:
        self.capabilities = capabilities
        self._client = client
        self._environ = environ
        self._looking: _Looking | None = None

    @classmethod
    async def open(
        cls, client: Client, environ: Mapping[str, str] = os.environ, *, next_observed: str = ""
    ) -> Self:
        """next_observed: the project that `observe` is called for next: it is asked for besides.

        Raises Unavailable where no engine answers, and for one that manages no Swarm now.
        """
        api = await client.version()
        looking = _begun(client, next_observed) if next_observed else None
        try:
            found = [nodes.node_state(item) for item in await nodes_of(client)]
        except BaseException:
            await _end(looking)
            raise
        count = sum(node.state == "ready" and node.availability == "active" for node in found)
        swarm = cls(client, WorkloadCapabilities(api, count), environ)
        swarm._looking = looking
        return swarm

    async def close(self) -> None:
        await _end(self._looking)
        await self._client.close()

    # --- the cluster ---------------------------------------------------------------------------

    async def identity(self) -> str:
        with refusals("Swarm"):
            return str((await self._client.call("GET", "/swarm"))["ID"])

    async def info(self) -> EngineInfo:
        version = await self._client.call("GET", "/version")
        system = await self._client.call("GET", "/info")
        return engine_info(version, system, self._client.address.url)

    async def nodes(self) -> list[NodeState]:
        with refusals("nodes"):
            found = [nodes.node_state(item) for item in await self._client.call("GET", "/nodes")]
        return sorted(found, key=lambda node: (node.name, node.id))

    async def node_engine(self, node: str) -> DockerRuntime:
        state = nodes.named(await self.nodes(), node)
        return await nodes.runtime_of(state, self._client, self._environ)

    # --- what there is -------------------------------------------------------------------------

    async def projects(self) -> list[str]:
        of_stacks = (listed(self._client, kind, STACK_NAMESPACE) for kind in PATHS)
        lists = await asyncio.gather(*of_stacks)
        found = {_labels(item).get(STACK_NAMESPACE) for items in lists for item in items}
        return sorted(name for name in found if name)

    async def taken_ports(self, *, besides: str) -> frozenset[tuple[int, str]]:
        with refusals("services"):
            services = await listed(self._client, DocumentKind.SERVICE)
        others = (item for item in services if _labels(item).get(STACK_NAMESPACE) != besides)
        return frozenset(port for item in others for port in asked_ports(item))

    async def observe(
        self, project: str, *, names: Sequence[tuple[DocumentKind, str]] = ()
    ) -> Observation:
        with refusals(f'stack "{project}"'):
            listing, others = await asyncio.gather(
                self._listing(project),
                self._named([each for each in names if each[0] in KINDS]),
            )
        found = listing.networks
        documents = [
            *(network_document(item) for item in found if networks.is_of(item, project)),
            *(
                document
                for kind, items in listing.documents.items()
                for item in items
                if not expiries.is_expiry(document := observed_document(kind, item))
            ),
        ]
        asked = {name for kind, name in names if kind is DocumentKind.NETWORK}
        others += networks.external(found, asked, project)
        specs = [document.spec for document in documents]
        return Observation(
            project=project,
            documents=tuple(documents),
            others=tuple(other for other in others if not _is_own(other, project)),
            names=await networks.names_by_id(self._client, found, specs),
            revisions=listing.revisions,
        )

    async def _listing(self, project: str) -> Listing:
        looking, self._looking = self._looking, None
        if looking is not None and looking[0] == project:
            return await looking[1]
        await _end(looking)
        return await Listing.of(self._client, project)

    async def _named(self, names: Sequence[tuple[DocumentKind, str]]) -> list[ObservedDocument]:
        """The API's filter takes the beginnings of names, and several at once."""
        wanted: dict[DocumentKind, set[str]] = {}
        for kind, name in names:
            wanted.setdefault(kind, set()).add(name)
        found = []
        for kind, each in wanted.items():
            query = {"filters": json.dumps(create.filters((), name=sorted(each)))}
            items = await self._client.call("GET", PATHS[kind], query=query)
            documents = (observed_document(kind, item) for item in items)
            found += [document for document in documents if document.name in each]
        return found

    async def status(self, project: str, *, services: Sequence[str] = ()) -> list[WorkloadStatus]:
        own = f"{STACK_NAMESPACE}={project}"
        with refusals(f'stack "{project}"'):
            found, tasks, current, names = await asyncio.gather(
                listed(self._client, DocumentKind.SERVICE, own),
                self._tasks(label=[own]),
                self._tasks(label=[own], **{"_up-to-date": ["true"]}),
                self._node_names(),
            )
        up_to_date = {task["ID"] for task in current}
        return [
            workload_status(
                item,
                [task for task in tasks if task.get("ServiceID") == item["ID"]],
                names,
                up_to_date,
            )
            for item in sorted(found, key=lambda item: str(item["Spec"]["Name"]))
            if not services or item["Spec"]["Name"] in services
        ]

    async def _tasks(self, **filters: Sequence[str]) -> list[Json]:
        """`_up-to-date` is what the docker CLI asks for to show how far an update is."""
        query = {"filters": json.dumps({key: list(each) for key, each in filters.items()})}
        return list(await self._client.call("GET", "/tasks", query=query))

    async def _node_names(self) -> dict[str, str]:
        return {node.id: node.name for node in await self.nodes()}

    # --- changes -------------------------------------------------------------------------------

    async def create(self, document: Document) -> str:
        with refusals(_what(document)):
            body = document_body(document, await self._references(document))
            answer = await self._client.call(
                "POST",
                f"{PATHS[document.kind]}/create",
                body=body,
                headers=await self._auth(body),
            )
        return str(answer["ID"] if "ID" in answer else answer["Id"])

    async def update(self, document: Document, *, id: str, version: int) -> None:
        what = _what(document)
        if document.kind is DocumentKind.NETWORK:
            raise InvalidArgument(f"{what}: it cannot change: Swarm has no update of networks")
        with refusals(what):
            if document.kind is not DocumentKind.SERVICE:
                body: Json = {"Name": document.name, "Labels": dict(document.labels)}
                await self._send(f"{PATHS[document.kind]}/{id}", version, body)
                return
            body = document_body(document, await self._references(document))
            now = await self._unmoved(id, version, what)
            forced = (now["Spec"].get("TaskTemplate") or {}).get("ForceUpdate")
            if forced:
                body.setdefault("TaskTemplate", {})["ForceUpdate"] = forced
            await self._send(f"/services/{id}", version, body, await self._auth(body))

    async def restart(self, id: str, *, version: int) -> None:
        with refusals(f'service "{id}"'):
            spec = (await self._unmoved(id, version, f'service "{id}"'))["Spec"]
            template = spec.setdefault("TaskTemplate", {})
            template["ForceUpdate"] = int(template.get("ForceUpdate") or 0) + 1
            await self._send(f"/services/{id}", version, spec, await self._auth(spec))

    async def _unmoved(self, id: str, version: int, what: str) -> Json:
        """The service as it is. Raises Conflict where its version is another."""
        found: Json = await self._client.call("GET", f"/services/{id}")
        if found["Version"]["Index"] != version:
            raise moved_on(what)
        return found

    async def _send(
        self, path: str, version: int, body: Json, headers: Mapping[str, str] | None = None
    ) -> None:
        await self._client.call(
            "POST", f"{path}/update", query={"version": version}, body=body, headers=headers
        )

    async def _auth(self, body: Json) -> dict[str, str]:
        """The caller's credentials, with which the nodes pull a service's image."""
        image = image_of(body)
        return await distribution.auth_headers(image, self._environ) if image else {}

    async def _references(self, document: Document) -> References | None:
        container = (document.spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
        if document.kind is not DocumentKind.SERVICE:
            return None
        configs = [(DocumentKind.CONFIG, e["ConfigName"]) for e in container.get("Configs") or ()]
        secrets = [(DocumentKind.SECRET, e["SecretName"]) for e in container.get("Secrets") or ()]
        found = await self._named([*configs, *secrets])
        return References(
            {each.name: each.id for each in found if each.kind is DocumentKind.CONFIG},
            {each.name: each.id for each in found if each.kind is DocumentKind.SECRET},
        )

    async def remove(self, kind: DocumentKind, id: str, *, version: int | None = None) -> None:
        what = f'{kind.value} "{id}"'
        with refusals(what), suppress(NotFound):
            if kind is DocumentKind.NETWORK:
                await networks.remove_network(self._client, id)
                return
            if version is not None or kind is DocumentKind.SERVICE:
                found = await self._client.call("GET", f"{PATHS[kind]}/{id}")
                if version not in (None, found["Version"]["Index"]):
                    raise moved_on(f'{kind.value} "{found["Spec"]["Name"]}"')
                if kind is DocumentKind.SERVICE and jobs.is_job(found):
                    await jobs.let_go(self._client, found)
            await self._client.call("DELETE", f"{PATHS[kind]}/{id}")

    # --- logs, events, images ------------------------------------------------------------------

    async def logs(
        self,
        service: str,
        *,
        task: str = "",
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        timestamps: bool = False,
    ) -> AsyncIterator[TaskLogEntry]:
        query = {
            "details": True,
            "stdout": True,
            "stderr": True,
            "follow": follow,
            "tail": "all" if tail is None else tail,
            "since": None if since is None else f"{since:.9f}",
            "timestamps": timestamps,
        }
        with refusals(f'service "{service}"'):
            found = await self._client.call("GET", f"/services/{service}")
            names = await self._node_names()
        container = (found["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}
        path = f"/tasks/{task}/logs" if task else f"/services/{found['ID']}/logs"
        async with self._client.stream("GET", path, query=query) as chunks:
            entries = log_entries(chunks, is_raw=bool(container.get("TTY")), timestamps=timestamps)
            name = found["Spec"]["Name"]
            async for entry in task_entries(entries, name, names, self._slot_of):
                yield entry

    async def _slot_of(self, task: str) -> int:
        try:
            return int((await self._client.call("GET", f"/tasks/{task}")).get("Slot") or 0)
        except NotFound:
            return 0

    async def events(
        self, project: str, *, since: float | None = None, until: float | None = None
    ) -> AsyncIterator[WorkloadEvent]:
        known = {document.id for document in (await self.observe(project)).documents}
        moments = {
            key: None if value is None else f"{value:.9f}"
            for key, value in (("since", since), ("until", until))
        }
        async for event in project_events(self._client, project, known, **moments):
            yield event

    async def resolve_image(self, reference: str) -> str:
        return await distribution.resolve_image(self._client, reference, self._environ)

    # --- revisions -----------------------------------------------------------------------------

    async def keep_revision(self, record: RevisionRecord) -> None:
        await revisions.keep(self._client, record)

    async def label_revision(self, record: RevisionRecord) -> None:
        await revisions.relabel(self._client, record)

    async def forget_revision(self, project: str, number: int) -> None:
        await revisions.forget(self._client, project, number)

    # --- expiry --------------------------------------------------------------------------------

    async def expiries(self) -> list[Expiry]:
        return await expiries.listed(self._client)

    async def set_expiry(self, expiry: Expiry) -> None:
        await expiries.set_to(self._client, expiry)

    async def clear_expiry(self, project: str) -> None:
        await expiries.clear(self._client, project)


_Looking = tuple[str, asyncio.Task[Listing]]
"""A project, and the calls under way for it."""


def _begun(client: Client, project: str) -> _Looking:
    return project, asyncio.create_task(Listing.of(client, project))


async def _end(looking: _Looking | None) -> None:
    if looking is not None:
        looking[1].cancel()
        await asyncio.gather(looking[1], return_exceptions=True)


def _what(document: Document) -> str:
    return f'{document.kind.value} "{document.name}"'


def _labels(item: Json) -> Mapping[str, str]:
    """Of anything that the API lists: a network has them beside its name, others in their spec."""
    return item.get("Labels") or (item.get("Spec") or {}).get("Labels") or {}


def _is_own(document: ObservedDocument, project: str) -> bool:
    return document.labels.get(STACK_NAMESPACE) == project
