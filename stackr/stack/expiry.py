"""What the engine takes down by itself: a stack whose time is up, and a copy whose folder is gone.

`up --ttl` leaves the volumes; with the folder of an isolated copy they go, too.
"""

from __future__ import annotations

from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.runtime.leases import Lease, LeaseRequest, create_lease, find_lease, renew_lease
from stackr.runtime.protocol import Runtime, SupportsRawRequest
from stackr.spec.model.project import Project
from stackr.stack.address import is_of_this_machine
from stackr.stack.context import Context

__all__ = ["expire"]

_STOP_TIMEOUT_S = 10  # as `down` gives to most; what is in volumes stays, and should be whole
_SECONDS = len("2026-01-02T13:23:37")
_NO_TTL = "up: --ttl: this engine does not offer it"


async def expire(context: Context, runtime: Runtime, project: Project, ttl_s: float | None) -> None:
    """Let the project expire, counted from now, and an isolated one with its folder.

    ttl_s: None leaves its time as it is. Raises NotSupported where the engine cannot count it.
    """
    if ttl_s is None and project.isolated is None:
        return
    try:
        lease = await _leased(context, runtime, project, ttl_s)
    except NotSupported as error:
        if ttl_s is not None:
            raise NotSupported(_NO_TTL) from error
        return  # what folders left behind is removed with the next copy that comes up
    if ttl_s is not None:
        end = f"{lease.expires[:_SECONDS]}Z"
        context.message(f"{project.name}: is taken down at {end}; up --ttl prolongs it")


async def _leased(
    context: Context, runtime: Runtime, project: Project, ttl_s: float | None
) -> Lease:
    if not isinstance(runtime, SupportsRawRequest):
        raise NotSupported(_NO_TTL)
    lease = await find_lease(runtime, project.name)
    if lease is not None:
        return lease if ttl_s is None else await renew_lease(runtime, lease.id, ttl_s)
    folder = project.isolated.folder if project.isolated else ""
    request = LeaseRequest(
        project.name,
        ttl_s=ttl_s,
        watch_owner=False,
        stop_timeout_s=_STOP_TIMEOUT_S,
        folder=folder if is_of_this_machine(context.engine) else "",
    )
    try:
        return await create_lease(runtime, request)
    except InvalidArgument as error:
        if not request.folder:
            raise
        return await _without_folder(context, runtime, request, error)


async def _without_folder(
    context: Context, runtime: SupportsRawRequest, request: LeaseRequest, error: StackrError
) -> Lease:
    """The engine is another one's, whose folders are not ours."""
    context.warning(
        f"{request.project}: {error.message.removeprefix('lease: folder: ')}: it stays when that "
        "folder goes, until down"
    )
    bare = LeaseRequest(
        request.project,
        ttl_s=request.ttl_s,
        watch_owner=False,
        stop_timeout_s=request.stop_timeout_s,
    )
    return await create_lease(runtime, bare)
