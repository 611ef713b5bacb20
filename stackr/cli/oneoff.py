"""A one-off container from its plan to its exit code: needs, creation, streams, signals, end.

The container is attached to before it starts, so that nothing of its output is missed. What is
interrupted before the start is removed again; afterwards the engine removes it (`--rm`) even where
this process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stackr.cli.planning import check_support
from stackr.cli.session import Session
from stackr.errors import Conflict, NotFound, NotSupported, StackrError
from stackr.planner.observed import observe
from stackr.planner.oneoff import OneOff, needs_options, plan_needs, plan_one_off
from stackr.runtime.protocol import Runtime, SupportsAttach

if TYPE_CHECKING:
    from stackr.planner.desired import Desired
    from stackr.planner.options import UpOptions
    from stackr.planner.plan import Plan

__all__ = ["run_one_off"]


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


async def run_one_off(
    session: Session,
    desired: Desired,
    wanted: OneOff,
    up_options: UpOptions,
    *,
    is_detached: bool,
) -> int:
    """The container's exit code; 0 where it is left to itself.

    desired: made with `needs_options`.
    """
    async with session.engine() as runtime:
        if not isinstance(runtime, SupportsAttach):
            raise NotSupported("run: this engine does not offer it")
        check_support(runtime, desired)
        run = _OneOffRun(session, runtime, desired, wanted, up_options)
        if session.is_dry_run:
            return await session.run_plan(await run.whole_plan(), runtime)
        code = await run.prepare()
        if code:
            return code
        return await (run.leave() if is_detached else run.attached())


@dataclass(frozen=True, slots=True)
class _OneOffRun:
    session: Session
    runtime: _AttachRuntime
    desired: Desired
    wanted: OneOff
    up_options: UpOptions

    @property
    def _ref(self) -> str:
        return self.wanted.container_name(self.desired.project)

    async def _refresh(self) -> Plan:
        from stackr.cli.planning import plan_pulls

        options = needs_options(self.wanted.service, self.up_options)
        return await plan_pulls(self.runtime, self.desired, options)

    async def whole_plan(self) -> Plan:
        """All that would be done, of which the end is told from what is there before it."""
        from stackr.planner.sequence import in_sequence

        observed = await observe(self.runtime, self.desired.project, self.desired)
        needs = plan_needs(self.desired, observed, self.wanted.service, self.up_options)
        own = plan_one_off(self.desired, observed, self.wanted, self.up_options)
        return in_sequence(in_sequence(await self._refresh(), needs), own)

    async def prepare(self) -> int:
        """Bring up what it needs, and create it; the exit code where that fails."""
        session, runtime, project = self.session, self.runtime, self.desired.project
        if code := await session.run_plan(await self._refresh(), runtime):
            return code
        observed = await observe(runtime, project, self.desired)
        needs = plan_needs(self.desired, observed, self.wanted.service, self.up_options)
        if code := await session.run_plan(needs, runtime):
            return code
        if not needs.is_empty:
            observed = await observe(runtime, project, self.desired)
        own = plan_one_off(self.desired, observed, self.wanted, self.up_options)
        try:
            return await session.run_plan(own, runtime)
        except asyncio.CancelledError:
            await self._remove()
            raise

    async def leave(self) -> int:
        """Start it, print its ID, and go."""
        container = await self.runtime.inspect_container(self._ref)
        await self._start(container.id)
        self.session.out.line(container.id)
        return 0

    async def attached(self) -> int:
        """Start it with the caller's streams; its exit code."""
        from stackr.cli.streams import DEFAULT_KEYS, forwarded_signals, join

        ref = (await self.runtime.inspect_container(self._ref)).id
        self.session.view.close()
        condition = "removed" if self.wanted.auto_remove else "next-exit"
        async with self.runtime.ending(ref, condition) as exit_code:
            streams = await self.runtime.attach(ref, stdin=self.wanted.stdin)
            try:
                await self._start(ref)
                with forwarded_signals(lambda name: self.runtime.kill_container(ref, signal=name)):
                    tty, stdin = self.wanted.tty, self.wanted.stdin
                    if await join(streams, tty=tty, stdin=stdin, detach_keys=DEFAULT_KEYS):
                        self.session.err.line("read escape sequence")
                        return 0
                    return await exit_code()
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
            raise _start_failure(error) from error

    async def _remove(self) -> None:
        with contextlib.suppress(NotFound, Conflict):  # the engine is at it already
            await self.runtime.remove_container(self._ref, force=True, volumes=True)


def _start_failure(error: StackrError) -> StackrError:
    """With the exit code of `docker run`, which is found by the engine's words there as well."""
    text = error.message.lower()
    kind = _CannotStart
    if "executable file not found" in text or "no such file or directory" in text:
        kind = _NoProgram
    elif "permission denied" in text or "is a directory" in text:
        kind = _CannotExecute
    return kind(error.message, hint=error.hint)
