"""`POST /stackr/v1/locks`: the right to change a project, held as long as the connection is open.

stackr's own, beside the Docker Engine API; docs/engine-api.md describes it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import BodyWriter, Request
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.project_locks import Entry, Holder

__all__ = ["ROUTES"]

_KEYS = ("project", "pid", "user", "host")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PID = re.compile(r"[1-9][0-9]{0,9}")
_MOST_CHARACTERS = 256
_QUIET_S = 0.1
"""For how long nothing is said: the one before may just have ended, and not be noticed yet."""


async def _hold(engine: Engine, request: Request) -> None:
    """Cancelled when the client goes, and the lock given up once what it began has ended.

    A container that a killed client asked for is made all the same, and its name is not free.
    """
    project, holder = _project(request), _holder(request)
    with engine.locks.entry(project, holder) as entry:
        writer = await request.stream("application/json")
        if not await _comes_soon(entry):
            await _tell(writer, "waiting", engine.locks.first(project).holder)
            await entry.turn.wait()
        try:
            entry.holder = replace(holder, since_ns=time.time_ns())
            await _tell(writer, "held", entry.holder)
            await asyncio.Event().wait()
        finally:
            await request.connection.settled()


async def _comes_soon(entry: Entry) -> bool:
    try:
        async with asyncio.timeout(_QUIET_S):
            await entry.turn.wait()
    except TimeoutError:
        return False
    return True


async def _tell(writer: BodyWriter, state: str, holder: Holder) -> None:
    since = rfc3339(holder.since_ns) if holder.since_ns else None
    who = {"pid": holder.pid, "user": holder.user, "host": holder.host, "since": since}
    await writer.write(json.dumps({"state": state, "holder": who}).encode() + b"\n")


def _project(request: Request) -> str:
    for key in request.query:
        if key not in _KEYS:
            raise InvalidArgument(f'query parameter "{key}": unknown')
    project = request.text("project")
    if not _PROJECT.fullmatch(project):
        raise InvalidArgument(f'lock: "{project}" is not a project\'s name')
    return project


def _holder(request: Request) -> Holder:
    pid = request.text("pid")
    if not _PID.fullmatch(pid):
        raise InvalidArgument(f'query parameter "pid": not a process: "{pid[:_MOST_CHARACTERS]}"')
    user, host = (request.text(key)[:_MOST_CHARACTERS] for key in ("user", "host"))
    return Holder(int(pid), user, host)


ROUTES = (Route("POST", "/stackr/v1/locks", _hold, follows=True),)
