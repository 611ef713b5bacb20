"""The removal of a network that its engine has not let go of yet, or never does.

dockerd lets go of a network some time after it has told that the last container is gone. Where it
hears of a container's end only after it has removed it, as on a busy machine, it never does: the
endpoint stays, of a container that nobody has. `docker network disconnect --force` is its way out.
Source: moby 20.10, daemon/delete.go, daemon/monitor.go `ProcessEvent`, `ForceEndpointDelete`.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from stackr.errors import Conflict, NotFound, PermissionDenied
from stackr.runtime.docker.client import Client

__all__ = ["remove_network"]

_PATIENCE_S = 15.0
_FORGOTTEN_S = 3.0
_POLL_S = 0.1


async def remove_network(client: Client, ref: str) -> None:
    """Raises PermissionDenied or Conflict where a container uses it. ref: its name or ID.

    stackr's own engine has let go of what it has removed, so that its answer is the last word.
    """
    began = time.monotonic()
    while True:
        try:
            await client.call("DELETE", _network(ref))
            return
        except (Conflict, PermissionDenied):
            waited_s = time.monotonic() - began
            if client.capabilities or waited_s > _PATIENCE_S or await _is_used(client, ref):
                raise
        if waited_s > _FORGOTTEN_S:
            await _take_back(client, ref)
        await asyncio.sleep(_POLL_S)


async def _is_used(client: Client, ref: str) -> bool:
    """By a container that runs; of others an engine holds nothing."""
    return any(
        ref in (name, endpoint.get("NetworkID"))
        for container in await client.call("GET", "/containers/json")
        for name, endpoint in _networks(container).items()
    )


def _networks(container: dict[str, Any]) -> dict[str, Any]:
    return (container.get("NetworkSettings") or {}).get("Networks") or {}


async def _take_back(client: Client, ref: str) -> None:
    """The endpoints of containers that are gone."""
    with suppress(NotFound):  # another one was quicker
        found = await client.call("GET", _network(ref))
        for endpoint in (found.get("Containers") or {}).values():
            name = endpoint.get("Name") or ""
            if name and not await _exists(client, name):
                body = {"Container": name, "Force": True}
                await client.call("POST", f"{_network(ref)}/disconnect", body=body)


async def _exists(client: Client, name: str) -> bool:
    try:
        await client.call("GET", f"/containers/{quote(name, safe='')}/json")
    except NotFound:
        return False
    return True


def _network(ref: str) -> str:
    return f"/networks/{quote(ref, safe='')}"
