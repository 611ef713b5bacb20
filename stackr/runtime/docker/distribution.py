"""Registries, as an engine asks them in the caller's name.

Source: Docker Engine API, "Authentication", DistributionInspect.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from stackr.errors import Internal, NotFound, StackrError, Unauthorized
from stackr.registry.credentials import registry_auth
from stackr.runtime.docker.client import Client
from stackr.runtime.docker.hints import hint_for

__all__ = ["auth_headers", "registry_error", "resolve_image"]


async def auth_headers(reference: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's credentials for an image's registry; none where there are none."""
    auth = await registry_auth(reference, environ)
    return {"X-Registry-Auth": auth} if auth else {}


async def resolve_image(client: Client, reference: str, environ: Mapping[str, str]) -> str:
    """The digest that it has in its registry now."""
    path = f"/distribution/{quote(reference, safe='/:@')}/json"
    try:
        answer = await client.call("GET", path, headers=await auth_headers(reference, environ))
    except Internal as error:  # older engines hand a registry's refusal on as one of theirs
        raise registry_error(error.message) from error
    return str(answer["Descriptor"]["digest"])


def registry_error(message: str) -> StackrError:
    """Of a registry, in the engine's words: where the status tells no class, they do."""
    text = message.lower()
    if "unauthorized" in text or "no basic auth credentials" in text:
        return Unauthorized(message, hint=hint_for(message))
    if "not found" in text or "manifest unknown" in text or "does not exist" in text:
        return NotFound(message, hint=hint_for(message))
    return Internal(message, hint=hint_for(message))
