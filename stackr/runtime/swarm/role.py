"""What part an engine has in a Swarm, and errors for those that cannot say what runs there.

Source: Docker Engine API, SystemPing ("Swarm", from 1.42 on), SwarmInspect, SystemInfo.
"""

from __future__ import annotations

import json
from typing import Any

from stackr.errors import NotFound, StackrError, Unavailable
from stackr.runtime.docker.client import Client
from stackr.runtime.swarm.refusals import explained

__all__ = ["is_manager", "nodes_of"]

_LOCKED = "encrypted and needs to be unlocked"
_NO_MANAGER = "not a swarm manager"
_MANAGERS = json.dumps({"role": ["manager"]})
"""`GET /nodes` is answered at once where there is no leader, `GET /swarm` after 20 seconds."""


async def is_manager(client: Client) -> bool:
    """Whether it manages a Swarm, one without a leader and a locked one too."""
    await client.version()
    if client.capabilities or not client.has_lasting_id:
        return False  # stackr's own, or Podman: neither has Swarm
    if client.swarm is not None:
        return client.swarm in ("active/manager", "locked")
    try:
        await client.call("GET", "/nodes", query={"filters": _MANAGERS})
    except NotFound:
        return False
    except StackrError as error:
        return _NO_MANAGER not in error.message
    return True


async def nodes_of(client: Client) -> list[dict[str, Any]]:
    """Of the Swarm that it manages. Raises Unavailable where it manages none now, and says why."""
    try:
        return list(await client.call("GET", "/nodes"))
    except StackrError as error:
        raise await _why_not(client, error) from error


async def _why_not(client: Client, error: StackrError) -> StackrError:
    url = client.address.url
    if _LOCKED in error.message:
        return Unavailable(f'engine "{url}": its Swarm is locked', hint="docker swarm unlock")
    if _NO_MANAGER not in error.message:
        return explained(error, f'engine "{url}"')
    info = await client.call("GET", "/info")
    swarm = info.get("Swarm") or {}
    if swarm.get("LocalNodeState") in ("active", "pending"):
        return Unavailable(
            f'engine "{url}": node "{info.get("Name", "")}" is a worker of its Swarm',
            hint=f"name the engine of a manager{_managers(swarm)}",
        )
    if swarm.get("LocalNodeState") == "error":
        return Unavailable(f'engine "{url}": Swarm: {swarm.get("Error") or "in error"}')
    return Unavailable(
        f'engine "{url}": it is part of no Swarm',
        hint="docker swarm init makes one of it; docker+URL names the engine by itself",
    )


def _managers(swarm: dict[str, Any]) -> str:
    """Their addresses, as the node knows them: ": 10.0.0.1, 10.0.0.2"."""
    known = swarm.get("RemoteManagers") or ()
    hosts = sorted(str(each.get("Addr") or "").rpartition(":")[0] for each in known)
    return f": {', '.join(hosts)}" if any(hosts) else ""
