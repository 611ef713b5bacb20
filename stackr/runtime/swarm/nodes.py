"""The machines of a Swarm, and the way to a machine's own engine.

A manager hands no `exec` on to another node: the containers of tasks are reached through the engine
that runs them. It is the one at hand, or that of a docker context with the node's name; or it is
reached as the manager is, by ssh. Whichever answers has to say that it is this node.
Source: Docker Engine API, Node; docker CLI, "docker context".
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from stackr.errors import NotFound, StackrError, Unavailable
from stackr.runtime.docker.address import EngineAddress
from stackr.runtime.docker.client import Client
from stackr.runtime.docker.context import context_address
from stackr.runtime.docker.runtime import DockerRuntime
from stackr.runtime.workloads import NodeState

__all__ = ["named", "node_state", "runtime_of"]

Json = dict[str, Any]


def node_state(item: Json) -> NodeState:
    spec: Json = item.get("Spec") or {}
    description: Json = item.get("Description") or {}
    platform: Json = description.get("Platform") or {}
    status: Json = item.get("Status") or {}
    return NodeState(
        id=item["ID"],
        name=description.get("Hostname") or item["ID"],
        address=status.get("Addr") or "",
        role=spec.get("Role") or "worker",
        is_leader=bool((item.get("ManagerStatus") or {}).get("Leader")),
        state=status.get("State") or "unknown",
        availability=spec.get("Availability") or "active",
        os=platform.get("OS") or "",
        architecture=platform.get("Architecture") or "",
        engine_version=(description.get("Engine") or {}).get("EngineVersion") or "",
        labels=spec.get("Labels") or {},
    )


def named(nodes: list[NodeState], ref: str) -> NodeState:
    """By ID or name. Raises NotFound, and for a name of several, which only IDs tell apart."""
    found = [node for node in nodes if ref in (node.id, node.name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f'node "{ref}": {len(found)} nodes have this name', hint="give its ID")
    raise NotFound(f'node "{ref}": not found', hint="docker node ls lists them")


async def runtime_of(node: NodeState, manager: Client, environ: Mapping[str, str]) -> DockerRuntime:
    """The node's own engine, read-only where the manager's client is.

    Raises Unavailable, naming it, where nothing leads there.
    """
    failures = []
    for address in _addresses(node, manager.address, environ):
        client = Client(address, read_only=manager.read_only)
        try:
            if await _node_id(client) == node.id:
                return await DockerRuntime.open(client, environ)
            if address != manager.address:
                failures.append(f'engine "{address.url}": it is another node')
        except StackrError as error:
            failures.append(error.message)
        await client.close()
    raise Unavailable(
        ": ".join([f'node "{node.name}": its engine cannot be reached', *failures]),
        hint=f'make a context of its name: docker context create "{node.name}" '
        f"--docker host=ssh://USER@{node.address or node.name}",
    )


def _addresses(
    node: NodeState, manager: EngineAddress, environ: Mapping[str, str]
) -> list[EngineAddress]:
    """Where it may be, the likeliest first."""
    found = [manager]
    with suppress(NotFound):
        found.insert(0, context_address(node.name, environ))
    if manager.url.startswith("ssh://") and node.address:
        found.append(EngineAddress(_beside(manager.url, node.address)))
    return found


def _beside(url: str, host: str) -> str:
    """The same way of ssh (user, port, socket) to another host."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    name = f"[{host}]" if ":" in host else host
    return f"ssh://{user}{name}{port}{parts.path}"


async def _node_id(client: Client) -> str:
    swarm = (await client.call("GET", "/info")).get("Swarm") or {}
    return str(swarm.get("NodeID") or "")
