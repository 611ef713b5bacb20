"""Registries, as an engine asks them in the caller's name.

Source: Docker Engine API, "Authentication", DistributionInspect.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from stackr.registry.credentials import registry_auth
from stackr.runtime.docker.client import Client

__all__ = ["auth_headers", "resolve_image"]


async def auth_headers(reference: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's credentials for an image's registry; none where there are none."""
    auth = await registry_auth(reference, environ)
    return {"X-Registry-Auth": auth} if auth else {}


async def resolve_image(client: Client, reference: str, environ: Mapping[str, str]) -> str:
    """The digest that it has in its registry now."""
    path = f"/distribution/{quote(reference, safe='/:@')}/json"
    answer = await client.call("GET", path, headers=await auth_headers(reference, environ))
    return str(answer["Descriptor"]["digest"])
