"""Containers' logs followed as they are written, through stops, restarts and recreations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from stackr.errors import NotFound, NotSupported, StackrError
from stackr.runtime import labels
from stackr.runtime.protocol import Streams, SupportsAttach
from stackr.runtime.types import ContainerState, EngineEvent, LogEntry
from stackr.stack.attached_output import output_lines
from stackr.stack.containers import display_name, project_containers
from stackr.stack.log_position import LogPosition
from stackr.stack.log_read import (
    LogRuntime,
    LogSink,
    LogWindow,
    NoSink,
    moment_of,
    read_logs,
    text_of,
)

__all__ = ["Exit", "Supervisor"]

_RESTART_POLL_S = 1.0
_LAST_LINES_S = 2.0


@dataclass(frozen=True, slots=True)
class Exit:
    """A container ended for good."""

    service: str
    name: str
    code: int


@dataclass(slots=True)
class _Followed:
    """A container whose lines are shown; `position` is after the last one shown.

    told: when the run started whose end was told, in Unix seconds: its start may be heard of later.
    """

    container: ContainerState
    position: LogPosition = field(default_factory=LogPosition)
    tail: int | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    streams: Streams | None = None
    told: float = 0

    @property
    def service(self) -> str:
        return self.container.labels.get(labels.SERVICE, "")

    @property
    def is_step(self) -> bool:
        """Whether it is one of `pre_start`, of whose end nothing is told but where it fails."""
        return labels.HOOK in self.container.labels


class Supervisor:
    """Shows the lines of a project's containers as they are written, until all have ended.

    Containers that start later are followed too, and so are restarts. `open()` begins to listen;
    `supervise_running()` takes up containers; `ended()` waits. services: whose end is waited for
    and told, () for all.
    shown: the services whose lines are shown, None for those of `services`; they may be others.
    unlogged: the services whose output no log keeps; it is taken from their streams, which
    `before_start` gets hold of.
    number: of the one replica that counts, None for all.
    grace_s: how long the next start of a container that was stopped is waited for: it may be
    restarted. One that was made and not started yet is waited for in any case.
    exited: is told of each container that ends and will not be restarted.
    """

    def __init__(
        self,
        runtime: LogRuntime,
        project: str,
        lines: LogSink,
        *,
        services: Iterable[str] = (),
        shown: Collection[str] | None = None,
        unlogged: Collection[str] = (),
        number: int | None = None,
        grace_s: float = 0,
        timestamps: bool = False,
        announce: bool = True,
        exited: Callable[[Exit], None] = lambda exit: None,
    ) -> None:
        self._runtime = runtime
        self._project = project
        self._lines = lines
        self._services = frozenset(services)
        self._shown = shown
        self._known = self._services and self._services.union(shown or ())
        self._unlogged = unlogged
        self._number = None if number is None else str(number)
        self.grace_s = grace_s
        self._stopped_at: dict[str, float] = {}
        self._created: set[str] = set()
        self._changed = asyncio.Event()
        self._timestamps = timestamps
        self._announce = announce
        self._exited = exited
        self._followed: dict[str, _Followed] = {}
        self._listener: asyncio.Task[None] | None = None

    async def open(self, window: LogWindow | None = None) -> None:
        """Listen to the engine, and settle which lines of the containers that exist are shown.

        window: those within it; None for those written from now on only.
        """
        ready = asyncio.Event()
        self._listener = asyncio.ensure_future(self._listen(ready))
        waiting = asyncio.ensure_future(ready.wait())
        await asyncio.wait({self._listener, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._listener.done():
            await self._listener
        now_ns = time.time_ns()
        for container in await self._containers():
            followed = self._note(container)
            if window is not None:
                followed.tail = window.tail
                followed.position = LogPosition(int((window.since or 0) * 1e9))
            elif container.is_running:
                followed.position, followed.tail = LogPosition(now_ns), 0
            elif container.state != "created":
                followed.position = await self._end_of_log(container)

    async def _end_of_log(self, container: ContainerState) -> LogPosition:
        """After the last line that the container has written; its end's time is no exact one."""
        last = int((await self._runtime.inspect_container(container.id)).finished_at * 1e9)
        with suppress(NotSupported):
            async for entry in self._runtime.logs(container.id, tail=1, timestamps=True):
                last = max(last, entry.time_ns)
        return LogPosition(last + 1)

    async def replay(self, window: LogWindow) -> None:
        """Show what has been written so far, in the order of the times; then each goes on alone."""
        names = {display_name(each.container): each for each in self._followed.values()}
        containers = [each.container for each in names.values() if self._is_shown(each)]
        async for name, entry in read_logs(self._runtime, containers, window, NoSink()):
            followed = names[name]
            followed.tail = None
            if followed.position.take(entry.time_ns):
                self._tell(name, entry)

    async def supervise_running(self) -> None:
        """Follow each container that has been started, the ones that ended since included."""
        for container in await self._containers():
            followed = self._note(container)
            if container.state != "created":
                self._follow(followed)

    async def before_start(self, ref: str) -> None:
        """Get hold of the container's output, where no log will have it."""
        with suppress(StackrError):
            container = await self._runtime.inspect_container(ref)
            followed = self._note(container)
            if self._is_shown(followed) and followed.streams is None:
                followed.streams = await self._attach(followed)

    async def _attach(self, followed: _Followed) -> Streams | None:
        """The streams of a container without a log, from now on or from its next start."""
        if followed.service not in self._unlogged:
            return None
        if not isinstance(self._runtime, SupportsAttach):
            return None
        return await self._runtime.attach(followed.container.id, stdin=False)

    async def ended(self) -> None:
        """Wait until no followed container runs or is about to be restarted.

        Raises what ended a follower before its container did: the engine went away.
        """
        await self._all_ended()
        while await self._goes_on():
            await self._all_ended()

    async def _goes_on(self) -> bool:
        """Whether another container takes up what the ended ones did, or one of them starts anew.

        A recreated service's new container is made before the old one goes.
        """
        assert self._listener is not None
        while not self._is_running():
            self._changed.clear()
            last = max(self._stopped_at.values(), default=0)
            left_s = None if self._created else last + self.grace_s - time.monotonic()
            if (left_s is not None and left_s <= 0) or self._listener.done():
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
        return True

    def _is_running(self) -> bool:
        tasks = [each.task for each in self._followed.values() if self._ends(each)]
        return any(task is not None and not task.done() for task in tasks)

    async def _all_ended(self) -> None:
        while tasks := [f.task for f in self._followed.values() if f.task and self._ends(f)]:
            running = [task for task in tasks if not task.done()]
            for task in tasks:
                if task.done():
                    task.result()
            if not running:
                return
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Stop listening and following."""
        tasks = [f.task for f in self._followed.values() if f.task is not None]
        if self._listener is not None:
            tasks.append(self._listener)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for followed in self._followed.values():
            if followed.streams is not None:
                await followed.streams.close()

    def _ends(self, followed: _Followed) -> bool:
        """Whether its end is waited for."""
        is_meant = not self._services or followed.service in self._services
        return is_meant and not followed.is_step

    def _is_shown(self, followed: _Followed) -> bool:
        return self._shown is None or followed.service in self._shown

    async def _containers(self) -> list[ContainerState]:
        listed = await project_containers(self._runtime, self._project, self._known, steps=True)
        return [each for each in listed if self._is_number(each.labels)]

    def _is_number(self, own: Mapping[str, str]) -> bool:
        return self._number is None or own.get(labels.CONTAINER_NUMBER, "") == self._number

    def _note(self, container: ContainerState) -> _Followed:
        followed = self._followed.get(container.id)
        if followed is None:
            followed = self._followed[container.id] = _Followed(container)
        return followed

    def _follow(self, followed: _Followed) -> None:
        if followed.task is None or followed.task.done():
            if self._is_shown(followed):
                self._lines.register([display_name(followed.container)])
            followed.task = asyncio.ensure_future(self._supervise(followed))

    async def _listen(self, ready: asyncio.Event) -> None:
        events = self._runtime.events(labels=[f"{labels.PROJECT}={self._project}"])
        async for event in events:
            ready.set()
            if event.type == "container" and self._counts(event):
                self._heed(event)
                if event.action == "start":
                    await self._started(event)
                self._changed.set()

    def _heed(self, event: EngineEvent) -> None:
        """Who is about to run, and who was stopped and may run again."""
        match event.action:
            case "create":
                self._created.add(event.id)
            case "start" | "destroy":
                self._created.discard(event.id)
                self._stopped_at.pop(event.id, None)
            case "kill" | "stop":
                self._stopped_at[event.id] = time.monotonic()
            case _:
                return

    async def _started(self, event: EngineEvent) -> None:
        followed = self._followed.get(event.id)
        if followed is None:
            with suppress(NotFound):
                followed = self._note(await self._runtime.inspect_container(event.id))
        if followed is not None:
            followed.started.set()
            self._follow(followed)

    def _counts(self, event: EngineEvent) -> bool:
        own = event.attributes
        is_oneoff = own.get(labels.ONEOFF, "False") == "True" and labels.HOOK not in own
        if is_oneoff or not self._is_number(own):
            return False
        return not self._known or event.attributes.get(labels.SERVICE, "") in self._known

    async def _supervise(self, followed: _Followed) -> None:
        """Show lines, run after run, until the container has ended for good."""
        ref, name = followed.container.id, display_name(followed.container)
        announce = self._announce and self._is_shown(followed) and not followed.is_step
        while True:
            followed.started.clear()
            await self._show(followed)
            try:
                state = await self._runtime.inspect_container(ref)
            except NotFound:
                return
            if not state.is_running:
                break
            if announce and state.state == "restarting":
                self._lines.status(name, f"exited with code {state.exit_code} (restarting)")
            with suppress(TimeoutError):
                await asyncio.wait_for(followed.started.wait(), _RESTART_POLL_S)
        if state.started_at and state.started_at == followed.told:
            return
        followed.told = state.started_at
        code = state.exit_code or 0
        if announce:
            self._lines.status(name, f"exited with code {code}")
        if self._ends(followed):
            self._exited(Exit(followed.service, followed.container.name, code))

    async def _show(self, followed: _Followed) -> None:
        """Show the lines of one run; where none are wanted or kept, wait for its end."""
        ref, name = followed.container.id, display_name(followed.container)
        if not self._is_shown(followed):
            with suppress(NotFound):
                await self._runtime.wait_container(ref)
            return
        try:
            if followed.service in self._unlogged:
                await self._show_streams(followed)
            else:
                await self._print(name, self._logged(followed))
        except NotFound:
            return
        except StackrError as error:
            if followed.service in self._unlogged:
                return  # it is joined again at its next start
            self._lines.problem(name, f"shows no output: {error.message}")
            with suppress(NotFound):
                await self._runtime.wait_container(ref)

    async def _show_streams(self, followed: _Followed) -> None:
        """Show one run of a container whose output no log keeps.

        Streams that are held since before its start end with it; others may be those of a next
        run that never comes.
        """
        name, ref = display_name(followed.container), followed.container.id
        streams, followed.streams = followed.streams, None
        if streams is not None:
            await self._print(name, _of_streams(streams))
        elif (streams := await self._attach(followed)) is not None:
            showing = asyncio.ensure_future(self._print(name, _of_streams(streams)))
            ending = asyncio.ensure_future(self._runtime.wait_container(ref))
            try:
                await asyncio.wait({showing, ending}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({showing}, timeout=_LAST_LINES_S)
            finally:
                showing.cancel()
                ending.cancel()
                await asyncio.gather(showing, ending, return_exceptions=True)

    async def _print(self, name: str, entries: AsyncIterator[LogEntry]) -> None:
        async for entry in entries:
            self._tell(name, entry)

    def _tell(self, name: str, entry: LogEntry) -> None:
        moment = moment_of(entry) if self._timestamps else ""
        is_error = entry.stream == "stderr"
        self._lines.line(name, text_of(entry), is_error=is_error, moment=moment)

    async def _logged(self, followed: _Followed) -> AsyncIterator[LogEntry]:
        since = followed.position.begin()
        tail, followed.tail = followed.tail, None
        async for entry in self._runtime.logs(
            followed.container.id, follow=True, tail=tail, since=since, timestamps=True
        ):
            if followed.position.take(entry.time_ns):
                yield entry


async def _of_streams(streams: Streams) -> AsyncIterator[LogEntry]:
    try:
        async for entry in output_lines(streams):
            yield entry
    finally:
        await streams.close()
