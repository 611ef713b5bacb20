"""The engine's build cache, which is no stack's own."""

from __future__ import annotations

import json
from typing import NamedTuple

from stackr.errors import NotFound, NotSupported
from stackr.runtime.protocol import Runtime, SupportsRawRequest

__all__ = ["Pruned", "prune_build_cache"]


class Pruned(NamedTuple):
    """records: the IDs of what is gone."""

    records: tuple[str, ...]
    size_bytes: int


async def prune_build_cache(
    runtime: Runtime, *, all: bool = False, until: str = "", keep_bytes: int = 0
) -> Pruned:
    """Remove what steps have made, the least recently used first, until no more than that is left.

    all: also what images share. until: a time or an age; only what was not used since. keep_bytes:
    0 for none. Source: Docker Engine API, "BuildPrune". Raises NotSupported, InvalidArgument.
    """
    query = {"all": "1" if all else "0"}
    if keep_bytes:
        query["keep-storage"] = str(keep_bytes)
    if until:
        query["filters"] = json.dumps({"until": {until: True}})
    try:
        if not isinstance(runtime, SupportsRawRequest):
            raise NotSupported("no such call")
        answer = await runtime.request_json("POST", "/build/prune", query=query)
    except (NotFound, NotSupported):
        raise NotSupported("the build cache: pruning is not supported by this engine") from None
    found = answer if isinstance(answer, dict) else {}
    return Pruned(tuple(found.get("CachesDeleted") or ()), int(found.get("SpaceReclaimed") or 0))
