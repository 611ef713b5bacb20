"""Image names pinned to the digest that their registry has for them now.

Asks the registries directly, as `config` has to work with no engine running. Credentials are those
of `docker login` in ~/.docker/config.json, as far as they are kept in that file.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackr.errors import NotFound
from stackr.registry.auth import RegistryAuth
from stackr.registry.client import Registry
from stackr.registry.reference import parse_reference
from stackr.registry.transport import Transport, is_plain_http
from stackr.text import parse_json

__all__ = ["pin"]

_MOST_AT_ONCE = 8
_HUB_KEY = "https://index.docker.io/v1/"


def pin(images: Iterable[str]) -> dict[str, str]:
    """Each image with its digest, `NAME[:TAG]@sha256:...`, by the name it was given with.

    An image that has a digest already is written in full, without its tag. Raises StackrError for
    a name that is not valid, and for what the registry refuses.
    """
    return asyncio.run(_pin_all(sorted(set(images)), _credentials(os.environ)))


async def _pin_all(images: list[str], credentials: Mapping[str, RegistryAuth]) -> dict[str, str]:
    free = asyncio.Semaphore(_MOST_AT_ONCE)

    async def one(image: str) -> str:
        async with free:
            return await _pin_one(image, credentials)

    async with asyncio.TaskGroup() as group:
        tasks = {image: group.create_task(one(image)) for image in images}
    return {image: task.result() for image, task in tasks.items()}


async def _pin_one(image: str, credentials: Mapping[str, RegistryAuth]) -> str:
    reference = parse_reference(image)
    if reference.digest is not None:
        return str(replace(reference, tag=None))
    tagged = reference.with_default_tag()
    key = _HUB_KEY if tagged.domain == "docker.io" else tagged.domain
    plain_http = is_plain_http(tagged.domain, ())
    async with Transport(tagged.domain, credentials.get(key), plain_http=plain_http) as transport:
        registry = Registry(transport, tagged)
        digest = await registry.head_manifest(tagged) or (await registry.manifest(tagged)).digest
    if not digest:
        raise NotFound(f"{image}: the registry names no digest")
    return str(tagged.with_digest(digest))


def _credentials(environ: Mapping[str, str]) -> dict[str, RegistryAuth]:
    """What `docker login` has stored, by registry; nothing if the file cannot be read."""
    folder = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME", ""), ".docker")
    try:
        entries = parse_json(Path(folder, "config.json").read_text(encoding="utf-8"))["auths"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(entries, dict):
        return {}
    found = {key: _auth(key, entry) for key, entry in entries.items() if isinstance(entry, dict)}
    return {key: auth for key, auth in found.items() if auth is not None}


def _auth(key: str, entry: Mapping[str, Any]) -> RegistryAuth | None:
    try:
        user, _, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, TypeError):
        return None
    token = entry.get("identitytoken") or ""
    if not user and not token:
        return None
    return RegistryAuth(
        username=user, password=password, identity_token=str(token), server_address=key
    )
