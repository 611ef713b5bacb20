"""A one-off container from its plan to its exit code: needs, creation, streams, signals, end.

The container is attached to before it starts, so that nothing of its output is missed. What is
interrupted before the start is removed again; afterwards the engine removes it (`--rm`) even where
this process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from stackr.errors import Conflict, NotFound, NotSupported, StackrError
from stackr.planner.commands.oneoff import OneOff, needs_options, plan_needs, plan_one_off
from stackr.planner.desired.project import Desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.sequence import in_sequence
from stackr.runtime.protocol import Runtime, Streams, SupportsAttach
from stackr.stack.builds import with_builds
from stackr.stack.context import Context
from stackr.stack.planning import check_support, plan_pulls, refresh

__all__ = ["Converse", "Kill", "OneOffEnd", "run_one_off", "start_failure"]


class _CannotStart(StackrError):
    """The container is there, and its program does not run: as with `docker run`."""

    exit_code = 125


class _CannotExecute(_CannotStart):
    """Its program is there, and is none."""

    exit_code = 126


class _NoProgram(_CannotStart):
    """Its program is not there."""

    exit_code = 127


class _AttachRuntime(Runtime, SupportsAttach, Protocol):
    """An engine whose containers can be attached to."""


Kill = Callable[[str], Awaitable[None]]
Converse = Callable[[Streams, Kill], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class OneOffEnd:
    """exit_code: the container's, or of what kept it from running. container: its ID, or ""."""

    exit_code: int
    container: str = ""


async def run_one_off(
    context: Context,
    runtime: Runtime,
    desired: Desired,
    wanted: OneOff,
    up_options: UpOptions,
    *,
    converse: Converse | None,
) -> OneOffEnd:
    """Run it to its end; or leave it to itself, if nobody is to converse with it.

    desired: made with `needs_options`. converse: joins the container's streams, and can send it a
    signal by its name; true where it has left the program alone before its end.
    """
    if not isinstance(runtime, SupportsAttach):
        raise NotSupported("run: this engine does not offer it")
    check_support(runtime, desired)
    run = _OneOffRun(context, runtime, desired, wanted, up_options)
    if context.is_dry_run:
        return OneOffEnd(await context.run_plan(await run.whole_plan(), runtime))
    if code := await run.prepare():
        return OneOffEnd(code)
    return await (run.leave() if converse is None else run.attached(converse))


@dataclass(frozen=True, slots=True)
class _OneOffRun:
    context: Context
    runtime: _AttachRuntime
    desired: Desired
    wanted: OneOff
    up_options: UpOptions

    @property
    def _ref(self) -> str:
        return self.wanted.container_name(self.desired.project)

    @property
    def _options(self) -> UpOptions:
        return needs_options(self.wanted.service, self.up_options)

    async def _look(self) -> Observed:
        observed = await observe(self.runtime, self.desired.project, self.desired)
        return await with_builds(self.runtime, self.desired, observed, self.up_options)

    async def whole_plan(self) -> Plan:
        """All that would be done, of which the end is told from what is there before it."""
        observed = await self._look()
        needs = plan_needs(self.desired, observed, self.wanted.service, self.up_options)
        own = plan_one_off(self.desired, observed, self.wanted, self.up_options)
        bases, rest = await plan_pulls(self.runtime, self.desired, self._options)
        return in_sequence(in_sequence(in_sequence(bases, rest), needs), own)

    async def prepare(self) -> int:
        """Bring up what it needs, and create it; the exit code where that fails."""
        context, runtime = self.context, self.runtime
        if code := await refresh(context, runtime, self.desired, self._options):
            return code
        observed = await self._look()
        needs = plan_needs(self.desired, observed, self.wanted.service, self.up_options)
        if code := await context.run_plan(needs, runtime):
            return code
        if not needs.is_empty:
            observed = await self._look()
        own = plan_one_off(self.desired, observed, self.wanted, self.up_options)
        try:
            return await context.run_plan(own, runtime)
        except asyncio.CancelledError:
            await self._remove()
            raise

    async def leave(self) -> OneOffEnd:
        """Start it, and go."""
        container = await self.runtime.inspect_container(self._ref)
        await self._start(container.id)
        return OneOffEnd(0, container.id)

    async def attached(self, converse: Converse) -> OneOffEnd:
        """Start it with the caller's streams."""
        ref = (await self.runtime.inspect_container(self._ref)).id
        condition = "removed" if self.wanted.auto_remove else "next-exit"
        async with self.runtime.ending(ref, condition) as exit_code:
            streams = await self.runtime.attach(ref, stdin=self.wanted.stdin)
            try:
                await self._start(ref)
                if await converse(
                    streams, lambda name: self.runtime.kill_container(ref, signal=name)
                ):
                    return OneOffEnd(0, ref)
                return OneOffEnd(await exit_code(), ref)
            finally:
                await streams.close()

    async def _start(self, ref: str) -> None:
        """What cannot be started is removed where that is asked; else it stays to be looked at."""
        try:
            await self.runtime.start_container(ref)
        except asyncio.CancelledError:
            await self._remove()
            raise
        except StackrError as error:
            if self.wanted.auto_remove:
                await self._remove()
            raise start_failure(error) from error

    async def _remove(self) -> None:
        with contextlib.suppress(NotFound, Conflict):  # the engine is at it already
            await self.runtime.remove_container(self._ref, force=True, volumes=True)


def start_failure(error: StackrError) -> StackrError:
    """With the exit code of `docker run`, which is found by the engine's words there as well."""
    text = error.message.lower()
    kind = _CannotStart
    if "executable file not found" in text or "no such file or directory" in text:
        kind = _NoProgram
    elif "permission denied" in text or "is a directory" in text:
        kind = _CannotExecute
    return kind(error.message, hint=error.hint)
