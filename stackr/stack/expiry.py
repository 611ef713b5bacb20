"""`up --ttl`: the engine takes the stack down by itself, its volumes aside, once its time is up."""

from __future__ import annotations

from stackr.errors import NotSupported
from stackr.runtime.leases import LeaseRequest, create_lease, find_lease, renew_lease
from stackr.runtime.protocol import Runtime, SupportsRawRequest
from stackr.stack.context import Context

__all__ = ["expire"]

_STOP_TIMEOUT_S = 10  # as `down` gives to most; what is in volumes stays, and should be whole


async def expire(context: Context, runtime: Runtime, project: str, ttl_s: float) -> None:
    """Let the project expire, counted from now. Raises NotSupported where the engine cannot."""
    if not isinstance(runtime, SupportsRawRequest):
        raise NotSupported("up: --ttl: this engine does not offer it")
    lease = await find_lease(runtime, project)
    if lease is None:
        request = LeaseRequest(
            project, ttl_s=ttl_s, watch_owner=False, stop_timeout_s=_STOP_TIMEOUT_S
        )
        try:
            lease = await create_lease(runtime, request)
        except NotSupported as error:
            raise NotSupported("up: --ttl: this engine does not offer it") from error
    else:
        lease = await renew_lease(runtime, lease.id, ttl_s)
    context.message(f"{project}: is taken down at {lease.expires}; up --ttl prolongs it")
