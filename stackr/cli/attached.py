"""`stackr up` in the foreground: the plan runs and containers' output is shown, until they end.

On a terminal, keys detach, watch and restart (`menu`). The first Ctrl-C (or SIGTERM) stops the
stack gracefully, the second kills it; the exit code is then 130, as with Docker Compose v2. With
`--abort-on-container-exit` and its kin the first container that ends stops the others, and gives
the exit code.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from stackr.cli.interrupts import Interrupts
from stackr.cli.menu import Menu, typed_keys
from stackr.cli.session import Session
from stackr.cli.up_arguments import UpArguments
from stackr.errors import Conflict, NotFound, StackrError
from stackr.executor.operations import BeforeStart
from stackr.planner.desired.project import DesiredService
from stackr.planner.plan.model import Plan
from stackr.runtime.protocol import Runtime
from stackr.stack.containers import project_containers
from stackr.stack.log_read import with_logs
from stackr.stack.logs import Exit, Supervisor

__all__ = ["Actions", "ShownOutput", "run_attached", "shown_output"]

_INTERRUPTED = 130
_IDLE_S = 1.0
_LAST_WORDS_S = 30.0
_RESTART_S = 15.0
"""How long a container that a key restarts may be away."""


Start = Callable[["Runtime", "BeforeStart"], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class ShownOutput:
    """The services whose output is shown, and those whose output no log keeps."""

    services: frozenset[str]
    unlogged: frozenset[str] = frozenset()


def shown_output(
    wanted: Mapping[str, DesiredService], services: Collection[str], arguments: UpArguments
) -> ShownOutput:
    """What `up` shows: `--attach` names it, else `services` but for those with `attach: false`."""
    own = {name for name in services if wanted[name].service.attach is not False}
    shown = set(arguments.attach or own) - set(arguments.no_attach)
    unlogged = {name for name in shown if _is_unlogged(wanted[name])}
    return ShownOutput(frozenset(shown), frozenset(unlogged))


def _is_unlogged(service: DesiredService) -> bool:
    logging = service.service.logging
    return logging is not None and logging.driver == "none"


@dataclass(frozen=True, slots=True)
class Actions:
    """What the menu's keys do with the stack. watch: until it is cancelled."""

    watch: Callable[[Runtime], Awaitable[None]]
    restart: Callable[[Runtime, str], Awaitable[None]]


async def run_attached(
    session: Session,
    runtime: Runtime,
    project: str,
    arguments: UpArguments,
    *,
    services: Collection[str],
    output: ShownOutput,
    start: Start,
    stop: Callable[[Runtime], Awaitable[Plan]],
    beside: Callable[[Runtime], Awaitable[None]] | None = None,
    actions: Actions | None = None,
) -> int:
    """Bring services up, then show their output until the stack ends; the exit code.

    services: those whose end ends the run. output: what is shown. start: brings them up, and
    gives the exit code; it tells of each container before it starts. stop: makes the plan that
    stops them. beside: work that goes on meanwhile, and keeps the run alive when all containers
    have ended. actions: of the keys; None for no menu.
    """
    interrupts = Interrupts()
    with interrupts.caught():
        run = _Attached(
            session, runtime, project, arguments, services, output, stop, beside, actions
        )
        try:
            return await run.complete(start, interrupts)
        finally:
            await run.close()


def _is_off(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("0", "f", "false")


class _Attached:
    """One run in the foreground."""

    def __init__(
        self,
        session: Session,
        runtime: Runtime,
        project: str,
        arguments: UpArguments,
        services: Collection[str],
        output: ShownOutput,
        stop: Callable[[Runtime], Awaitable[Plan]],
        beside: Callable[[Runtime], Awaitable[None]] | None,
        actions: Actions | None,
    ) -> None:
        self._session = session
        self._runtime = runtime
        self._arguments = arguments
        self._services = services
        self._output = output
        self._stop = stop
        self._beside = beside
        self._project = project
        self._exits: asyncio.Queue[Exit] = asyncio.Queue()
        self._supervisor: Supervisor | None = None
        has_menu = arguments.menu and not session.is_json and not _is_off("COMPOSE_MENU")
        self._actions = actions if has_menu else None
        self._watching: asyncio.Future[None] | None = None
        self._detached = asyncio.Event()

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._supervisor is not None:
            await self._supervisor.close()

    async def complete(self, start: Start, interrupts: Interrupts) -> int:
        signal = asyncio.ensure_future(interrupts.next())
        try:
            supervisor = self._supervisor = self._new_supervisor()
            await supervisor.open()
            work = asyncio.ensure_future(self._work(start, supervisor))
            await asyncio.wait({work, signal}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            return await self._interrupted(interrupts)
        finally:
            signal.cancel()

    def _new_supervisor(self) -> Supervisor:
        arguments = self._arguments
        return Supervisor(
            with_logs(self._runtime),
            self._project,
            self._session.log_lines(prefix=not arguments.no_log_prefix),
            services=self._services,
            shown=self._output.services,
            unlogged=self._output.unlogged,
            timestamps=arguments.timestamps,
            exited=self._exits.put_nowait,
        )

    async def _work(self, start: Start, supervisor: Supervisor) -> int:
        """The start, then the containers' lives; the exit code of the whole."""
        if code := await start(self._runtime, supervisor.before_start):
            return code
        await supervisor.supervise_running()
        with typed_keys() if self._actions is not None else contextlib.nullcontext() as keys:
            if keys is None:
                return await self._lives(supervisor)
            return await self._with_menu(supervisor, keys)

    async def _with_menu(self, supervisor: Supervisor, keys: AsyncIterator[str]) -> int:
        """The containers' lives, unless a key detaches from them before their end."""
        lives = asyncio.ensure_future(self._lives(supervisor))
        menu = asyncio.ensure_future(self._menu(supervisor).run(keys))
        detached = asyncio.ensure_future(self._detached.wait())
        try:
            await asyncio.wait({lives, detached}, return_when=asyncio.FIRST_COMPLETED)
            if lives.done():
                return lives.result()
            self._session.view.message(f"detached from {self._project}, which goes on")
            return 0
        finally:
            for task in (lives, menu, detached):
                task.cancel()
            await asyncio.gather(lives, menu, detached, return_exceptions=True)

    def _menu(self, supervisor: Supervisor) -> Menu:
        actions = self._actions
        assert actions is not None

        async def restart(service: str) -> None:
            supervisor.grace_s = _RESTART_S  # the end of what is restarted is not the stack's
            try:
                await actions.restart(self._runtime, service)
            except StackrError as error:
                self._session.view.warning(f"restart {service}: {error.message}")

        return Menu(
            self._session.view.message,
            sorted(self._services),
            self._detached.set,
            self._toggle_watch,
            restart,
        )

    async def _toggle_watch(self) -> None:
        if self._watching is not None and not self._watching.done():
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        elif self._beside is None:
            self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        assert self._actions is not None
        try:
            await self._actions.watch(self._runtime)
        except StackrError as error:
            self._session.view.warning(f"watch: {error.message}")

    async def _lives(self, supervisor: Supervisor) -> int:
        """Until all have ended, or one has that ends the run; the exit code."""
        if self._beside is not None:
            await self._until_done(self._beside(self._runtime), supervisor)
        ended = asyncio.ensure_future(supervisor.ended())
        try:
            return await self._first_end(ended)
        finally:
            ended.cancel()

    async def _until_done(self, beside: Awaitable[None], supervisor: Supervisor) -> None:
        """Wait for the work that goes on beside; raises what ends the output before that."""
        work = asyncio.ensure_future(beside)
        try:
            while not work.done():
                ended = asyncio.ensure_future(supervisor.ended())
                await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    ended.result()
                    await asyncio.wait({work}, timeout=_IDLE_S)
                else:
                    ended.cancel()
            work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _first_end(self, ended: asyncio.Future[None]) -> int:
        """Wait until all have ended, or one has that ends the run."""
        while True:
            while not self._exits.empty():
                first = self._exits.get_nowait()
                if self._is_last(first):
                    return await self._abort(first)
            if ended.done():
                ended.result()
                return 0
            await self._any_end(ended)

    async def _any_end(self, ended: asyncio.Future[None]) -> None:
        """Return when a container has ended, which is put back, or all have."""
        exit_ = asyncio.ensure_future(self._exits.get())
        waiting: set[asyncio.Future[Any]] = {ended, exit_}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if exit_.done():
            self._exits.put_nowait(exit_.result())
        else:
            exit_.cancel()

    def _is_last(self, exit_: Exit) -> bool:
        arguments = self._arguments
        if arguments.abort_on_failure:
            return exit_.code != 0
        return arguments.abort_on_exit or arguments.exit_code_from is not None

    async def _abort(self, first: Exit) -> int:
        """Stop the others, and find the exit code that was asked for."""
        self._session.view.message("Aborting on container exit...")
        await self._stop_all()
        await self._last_words()
        wanted = self._arguments.exit_code_from
        if wanted is None or first.service == wanted:
            return first.code
        while not self._exits.empty():
            if (exit_ := self._exits.get_nowait()).service == wanted:
                return exit_.code
        return first.code

    async def _interrupted(self, interrupts: Interrupts) -> int:
        """Stop gracefully; at the next signal, kill; at the one after, wait for nothing more."""
        self._session.view.message("Gracefully stopping... (press Ctrl+C again to force)")
        stopping = asyncio.ensure_future(self._stop_all())
        signal = asyncio.ensure_future(interrupts.next())
        await asyncio.wait({stopping, signal}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stopping
            await self._kill_all()
            signal = asyncio.ensure_future(interrupts.next())
        showing = asyncio.ensure_future(self._last_words())
        await asyncio.wait({showing, signal}, return_when=asyncio.FIRST_COMPLETED)
        for task in (showing, signal):
            task.cancel()
        return _INTERRUPTED

    async def _last_words(self) -> None:
        """Wait until all is shown that those which have been stopped wrote to the very end."""
        assert self._supervisor is not None
        with contextlib.suppress(TimeoutError, StackrError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._supervisor.ended()

    async def _stop_all(self) -> None:
        if self._supervisor is not None:
            self._supervisor.grace_s = 0
        context = self._session.context()
        async with context.locked(self._runtime, self._project):
            await context.run_plan(await self._stop(self._runtime), self._runtime)

    async def _kill_all(self) -> None:
        containers = await project_containers(self._runtime, self._project, self._services)
        await asyncio.gather(*(self._kill(c.id) for c in containers if c.is_running))

    async def _kill(self, ref: str) -> None:
        with contextlib.suppress(NotFound, Conflict):
            await self._runtime.kill_container(ref)
