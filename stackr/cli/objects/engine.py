"""What commands on single things ask of an engine, and how several things are done at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import typer

from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.errors import InvalidArgument, NotModified, NotSupported, StackrError
from stackr.runtime.protocol import (
    Runtime,
    SupportsAttach,
    SupportsExec,
    SupportsFiles,
    SupportsLogs,
    SupportsRawRequest,
    SupportsStats,
)

__all__ = ["Call", "DockerLike", "Json", "each", "on_engine", "path", "report"]

T = TypeVar("T")
Json = dict[str, Any]


class DockerLike(
    Runtime,
    SupportsAttach,
    SupportsExec,
    SupportsFiles,
    SupportsLogs,
    SupportsRawRequest,
    SupportsStats,
    Protocol,
):
    """An engine of the Docker API, which has all of them."""


class Call:
    """One invocation with an open engine: `out` and `err` take lines, the rest are calls."""

    def __init__(self, session: Session, runtime: DockerLike) -> None:
        self.session = session
        self.runtime = runtime

    @property
    def address(self) -> str:
        """Of the engine, as it was given; "" for the usual one."""
        return self.session.options.engine or os.environ.get("STACKR_ENGINE") or ""

    def line(self, text: str) -> None:
        self.session.out.line(text)

    def error_line(self, text: str) -> None:
        self.session.err.line(text)

    async def get(self, where: str, **query: Any) -> Any:
        return await self._call("GET", where, query)

    async def post(self, where: str, body: object = None, **query: Any) -> Any:
        return await self._call("POST", where, query, body)

    async def post_unless_so(self, where: str, **query: Any) -> None:
        """The same, where 304 says that things are as asked already."""
        with contextlib.suppress(NotModified):
            await self.post(where, **query)

    async def delete(self, where: str, **query: Any) -> Any:
        return await self._call("DELETE", where, query)

    async def _call(self, method: str, where: str, query: Json, body: object = None) -> Any:
        """With no limit of time, as with docker: a stop takes as long as its grace."""
        return await self.runtime.request_json(
            method, where, query=query, body=body, timeout_s=None
        )


def path(*parts: str) -> str:
    """`/containers/a%2Fb/json` of parts; a name is data, and no more than one part.

    Raises InvalidArgument for an empty one: it would be another call.
    """
    if not all(parts):
        kind = f"{parts[0].removesuffix('s')} " if parts[0] else ""
        raise InvalidArgument(f"invalid {kind}name or ID: value is empty")
    return "".join(f"/{quote(part, safe=':@')}" for part in parts)


def on_engine(
    ctx: typer.Context, work: Callable[[Call], Awaitable[T]], *, read_only: bool = False
) -> T:
    """Run `work` with the engine that `--engine` names.

    read_only: it only looks, so that an engine that does not run is not started: Unavailable.
    """

    async def begin(runtime: Runtime) -> T:
        if not isinstance(runtime, SupportsRawRequest):
            raise NotSupported("this engine does not speak the Docker API")
        return await work(Call(session, runtime))  # type: ignore[arg-type]

    with open_session(options_of(ctx)) as session:
        return session.look(begin) if read_only else session.on_engine(begin)


async def each(
    call: Call,
    refs: Sequence[str],
    work: Callable[[str], Awaitable[object]],
    *,
    at_once: bool = True,
) -> int:
    """Do it to all; each one's result as a line (its name, if it has none), in their order.

    The exit code: 1 where one failed, and then its reason is told after all others are done.
    """
    failed: list[StackrError] = []

    async def done(ref: str) -> object:
        try:
            return await work(ref)
        except StackrError as error:
            return error

    tasks = [asyncio.ensure_future(done(ref)) for ref in refs] if at_once else []
    try:
        for place, ref in enumerate(refs):
            result = await (tasks[place] if at_once else done(ref))
            if isinstance(result, StackrError):
                failed.append(result)
            elif result is not False:
                call.line(ref if result is None else str(result))
    finally:
        for task in tasks:
            task.cancel()
    for error in failed:
        report(call, error)
    return int(bool(failed))


def report(call: Call, error: StackrError) -> None:
    """Say what failed, in one line, and go on."""
    call.error_line(f"stackr: {error.message}")
    if error.hint:
        call.error_line(f"  {error.hint}")
