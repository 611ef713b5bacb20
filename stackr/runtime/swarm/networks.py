"""Networks of a Swarm: whose they are, who uses them, and their removal, which takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any

from stackr.errors import Conflict, NotFound
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import STACK_NAMESPACE
from stackr.runtime.swarm.documents import network_document
from stackr.runtime.swarm.refusals import refusals
from stackr.runtime.workloads import ObservedDocument

__all__ = ["external", "is_of", "joined", "names_by_id", "remove_network"]

Json = dict[str, Any]

_FREED_S = 60.0
_POLL_S = 0.1


def is_of(network: Json, project: str) -> bool:
    labels: Mapping[str, str] = network.get("Labels") or {}
    return network.get("Scope") == "swarm" and labels.get(STACK_NAMESPACE) == project


def external(networks: Iterable[Json], names: set[str], project: str) -> list[ObservedDocument]:
    """Those of these names that are others': of two, the one that all nodes have."""
    found: dict[str, Json] = {}
    for item in networks:
        is_better = item["Name"] not in found or item.get("Scope") == "swarm"
        if item["Name"] in names and not is_of(item, project) and is_better:
            found[item["Name"]] = item
    return [network_document(item) for item in found.values()]


def joined(spec: Mapping[str, Any]) -> set[str]:
    """The IDs of those that a service's tasks join."""
    template: Json = spec.get("TaskTemplate") or {}
    attached = template.get("Networks") or spec.get("Networks") or ()
    return {str(each.get("Target")) for each in attached}


async def names_by_id(
    client: Client, networks: Iterable[Json], specs: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """Of all that the specs join: the host's own network has an ID that no list has."""
    names = {item["Id"]: item["Name"] for item in networks}
    for spec in specs:
        for id in joined(spec) - names.keys():
            names[id] = id
            with suppress(NotFound):
                names[id] = (await client.call("GET", f"/networks/{id}"))["Name"]
    return names


async def remove_network(client: Client, id: str) -> None:
    """What only the ending tasks of removed services use is free soon.

    The manager's own engine shows it for as long as tasks on its node are ending; so it is waited
    for. Raises NotFound once it is gone, and Conflict where services use it.
    """
    what = f'network "{id}"'
    with suppress(NotFound):
        async for _ in _moments():
            try:
                with refusals(what):
                    await client.call("DELETE", f"/networks/{id}")
                break
            except Conflict as error:
                if users := await _users(client, id):
                    raise Conflict(f"{what}: in use by {users}") from error
        else:
            raise Conflict(f"{what}: tasks that have not ended use it")
    async for _ in _moments():
        await client.call("GET", f"/networks/{id}")


async def _users(client: Client, network: str) -> str:
    """Services, in words; "" for none."""
    services = await client.call("GET", "/services")
    names = [each["Spec"]["Name"] for each in services if network in joined(each["Spec"])]
    return ", ".join(f'service "{name}"' for name in sorted(names))


async def _moments() -> AsyncIterator[None]:
    """To look again, until what comes soon has had its time."""
    deadline = asyncio.get_running_loop().time() + _FREED_S
    while asyncio.get_running_loop().time() < deadline:
        yield
        await asyncio.sleep(_POLL_S)
