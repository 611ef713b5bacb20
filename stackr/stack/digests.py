"""Image names pinned to the digest that their registry has for them now.

Asks the registries directly, as `config` has to work with no engine running. Credentials are those
of `docker login`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from stackr.errors import NotFound
from stackr.registry.client import Registry
from stackr.registry.credentials import credentials_for
from stackr.registry.reference import parse_reference
from stackr.registry.transport import Transport, is_plain_http

__all__ = ["pin"]

_MOST_AT_ONCE = 8


def pin(images: Iterable[str]) -> dict[str, str]:
    """Each image with its digest, `NAME[:TAG]@sha256:...`, by the name it was given with.

    An image that has a digest already is written in full, without its tag. Raises StackrError for
    a name that is not valid, and for what the registry refuses.
    """
    return asyncio.run(_pin_all(sorted(set(images)), os.environ))


async def _pin_all(images: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    free = asyncio.Semaphore(_MOST_AT_ONCE)

    async def one(image: str) -> str:
        async with free:
            return await _pin_one(image, environ)

    return dict(zip(images, await asyncio.gather(*map(one, images)), strict=True))


async def _pin_one(image: str, environ: Mapping[str, str]) -> str:
    reference = parse_reference(image)
    if reference.digest is not None:
        return str(replace(reference, tag=None))
    tagged = reference.with_default_tag()
    auth = await credentials_for(str(tagged), environ)
    plain_http = is_plain_http(tagged.domain, ())
    async with Transport(tagged.domain, auth, plain_http=plain_http) as transport:
        registry = Registry(transport, tagged)
        digest = await registry.head_manifest(tagged) or (await registry.manifest(tagged)).digest
    if not digest:
        raise NotFound(f"{image}: the registry names no digest")
    return str(tagged.with_digest(digest))
