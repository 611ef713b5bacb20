"""Further processes in a running container: exec sessions of callers, and health probes.

The OCI runtime's own `exec` stays beside the process and ends with its exit code; a daemon that
dies closes the pipes, and a caller that hangs up leaves the process running.
Source: Docker Engine API, `Exec`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import secrets
import struct
import termios
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stackr.errors import Conflict, InvalidArgument, NotFound, Unavailable
from stackr.runtime.engine.container.exec.console_socket import ConsoleSocket
from stackr.runtime.engine.container.health.probe import ProbeResult
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.io.stream import STDERR, STDOUT, PipeStream
from stackr.runtime.engine.container.limits.groups import Groups
from stackr.runtime.engine.container.oci.bundle import Surroundings, exec_process
from stackr.runtime.engine.container.oci.failure import StartFailure, start_failure
from stackr.runtime.engine.container.oci.runtime import OciRuntime
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.spec import ExecCreate
from stackr.runtime.engine.container.storage.storage import Storage
from stackr.runtime.engine.linux.descriptors import Descriptors
from stackr.runtime.engine.linux.launcher_client import Launched, read_to_end
from stackr.runtime.engine.linux.process import kill_tree
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["ExecSession", "ExecSessions", "Executor"]

_OUTPUT_LIMIT = 4096
_KILL_PATIENCE_S = 5.0
_KILL_AGAIN_S = 0.02
_VERDICT_S = 30.0
_VERDICT_AGAIN_S = 0.02
_PROBES_FOR_EACH_CPU = 2
_BEGIN_S = 0.2
_FDS = 12  # that a start has open at a time, the runtime's ends of pipes included


@dataclass(slots=True)
class ExecSession:
    """exit_code: None until the process has ended; pid: the host's number, 0 where unknown."""

    id: str
    container: Container
    request: ExecCreate
    running: bool = False
    started: bool = False
    exit_code: int | None = None
    pid: int = 0
    terminal: int | None = None
    size: tuple[int, int] | None = None
    error: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Launch:
    """One `exec` of the OCI runtime under way, with the folder of its files."""

    launched: Launched
    folder: Path
    program: str
    console: ConsoleSocket | None = None

    @property
    def pid(self) -> int:
        try:
            return int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return 0

    def failure(self) -> StartFailure | None:
        """Why the process never ran; None where it did."""
        if self.pid:
            return None
        with contextlib.suppress(OSError):
            return start_failure((self.folder / "log").read_text(), self.program, verb="exec")
        return start_failure("no reason is known", self.program, verb="exec")


class Executor:
    """Runs processes in containers; callers have checked that the container runs."""

    def __init__(
        self,
        host: Host,
        storage: Storage,
        groups: Groups,
        runtime: OciRuntime,
        descriptors: Descriptors,
    ) -> None:
        self._host = host
        self._descriptors = descriptors
        self._storage = storage
        self._groups = groups
        self._runtime = runtime
        self._probing = asyncio.Semaphore(_PROBES_FOR_EACH_CPU * (os.cpu_count() or 1))

    def prober(
        self, container: Container, command: Sequence[str]
    ) -> Callable[[float], Awaitable[ProbeResult]]:
        """A call that probes. Of many containers, few begin at a time, as that is what takes a
        processor. One that cannot be killed (it waits for a disk) is the last until it has ended.
        """
        stuck: asyncio.Future[int] | None = None

        async def probe(timeout_s: float) -> ProbeResult:
            nonlocal stuck
            if stuck is not None and not stuck.done():
                return ProbeResult(-1, "the health check before has not ended yet")
            async with self._probing:
                task = asyncio.ensure_future(self.probe(container, command, timeout_s))
                try:
                    await asyncio.wait({task}, timeout=_BEGIN_S)
                except asyncio.CancelledError:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    raise
            result, stuck = await task
            return result

        return probe

    async def probe(
        self, container: Container, command: Sequence[str], timeout_s: float
    ) -> tuple[ProbeResult, asyncio.Future[int]]:
        """Run a command to its end, and kill it after `timeout_s`; output is cut at 4096 bytes.

        The second value is done once no process of it is left.
        """
        request = ExecCreate(cmd=list(command), attach_stdout=True, attach_stderr=True)
        async with self._descriptors.claim(_FDS):
            reader, writer = os.pipe2(os.O_CLOEXEC)
        launch: _Launch | None = None
        output: asyncio.Task[bytes] | None = None
        try:
            try:
                launch = await self._launch(container, request, {1: writer, 2: writer})
            finally:
                os.close(writer)
            output = asyncio.get_running_loop().create_task(read_to_end(reader, _OUTPUT_LIMIT))
            try:
                async with asyncio.timeout(timeout_s):
                    exit_code = await asyncio.shield(launch.launched.ended)
            except TimeoutError:
                await self._kill(launch, container)
                late = ProbeResult(-1, _partial_output(output), timed_out=True)
                return late, launch.launched.ended
            failure = launch.failure()
            if failure is not None:
                return ProbeResult(failure.exit_code, failure.message), launch.launched.ended
            with contextlib.suppress(TimeoutError):
                # a child that the probe left behind may hold the pipe
                await asyncio.wait_for(asyncio.shield(output), 0.5)
            return ProbeResult(exit_code, _partial_output(output)), launch.launched.ended
        except asyncio.CancelledError:
            if launch is not None:
                await self._kill(launch, container)
            raise
        finally:
            if output is not None:
                output.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await output
            os.close(reader)
            if launch is not None:
                remove_tree(launch.folder)

    async def _launch(
        self,
        container: Container,
        request: ExecCreate,
        fds: dict[int, int],
        size: tuple[int, int] | None = None,
    ) -> _Launch:
        folder = self._storage.bundle(container) / f"exec-{secrets.token_hex(8)}"
        around = Surroundings(
            host=self._host,
            user=self._storage.user(container, request.user or container.config.user),
            rootfs="",
            cgroup="",
        )
        process = exec_process(
            container,
            around,
            command=request.cmd,
            env=request.env,
            working_dir=request.working_dir,
            tty=request.tty,
            privileged=request.privileged,
            size=size,
        )
        try:
            folder.mkdir()
        except FileNotFoundError as error:
            raise Conflict(f"container {container.id} is not running") from error
        console: ConsoleSocket | None = None
        try:
            (folder / "process.json").write_text(json.dumps(process))
            if request.tty and self._runtime.hands_over_terminals:
                console = ConsoleSocket(folder)
            launched = await self._runtime.exec(
                container.id,
                process=folder / "process.json",
                pid_file=folder / "pid",
                log=folder / "log",
                fds=fds,
                tty=request.tty,
                console_socket=console.path if console else "",
            )
        except BaseException:
            if console is not None:
                console.close()
            remove_tree(folder)
            raise
        return _Launch(launched, folder, request.cmd[0], console)

    async def _kill(self, launch: _Launch, container: Container) -> None:
        """End the process and its children, and wait until the runtime has noticed; it may not
        have started it yet.
        """
        ended, group = launch.launched.ended, self._groups.path(container)
        members = partial(self._host.cgroups.pids, group)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_PATIENCE_S):
                while not ended.done():
                    kill_tree(launch.pid, members)
                    await asyncio.wait({ended}, timeout=_KILL_AGAIN_S)
        if not ended.done():
            kill_tree(launch.pid, members, at_once=True)

    async def start(self, session: ExecSession) -> PipeStream:
        """Start a session's process; its output comes through the stream, whoever listens.

        A program that cannot be started says so on the stream, as with Docker.
        """
        request = session.request
        async with self._descriptors.claim(_FDS):
            return await self._start(session, request)

    async def _start(self, session: ExecSession, request: ExecCreate) -> PipeStream:
        ours, theirs = self._ends(session)
        session.started = session.running = True
        try:
            launch = await self._launch(session.container, request, theirs.fds, _size_of(session))
        except InvalidArgument as error:
            ours.close_all()
            return _never_ran(session, error.message)
        except BaseException:
            ours.close_all()
            session.running, session.exit_code = False, 126
            session.ended.set()
            raise
        finally:
            theirs.close_all()
        launch.launched.ended.add_done_callback(lambda _: _end_session(session, launch))
        if launch.console is not None:
            ours = await _handed_over(session, launch.launched, launch.console)
        stream = PipeStream(
            ours.outputs,
            ours.stdin,
            is_tty=request.tty,
            failure=lambda: _verdict(session, launch),
        )
        stream.start()
        return stream

    def _ends(self, session: ExecSession) -> tuple[_Ends, _Ends]:
        if not session.request.tty:
            return _pipes(stdin=session.request.attach_stdin)
        if self._runtime.hands_over_terminals:
            return _Ends(), _Ends()
        return _terminal(session)


@dataclass(slots=True)
class _Ends:
    """One side's descriptors. fds: the program's number -> descriptor."""

    fds: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)
    stdin: int | None = None

    def close_all(self) -> None:
        stdin = [] if self.stdin is None else [self.stdin]
        for fd in {*self.fds.values(), *self.outputs.values(), *stdin}:
            os.close(fd)


def _pipes(*, stdin: bool) -> tuple[_Ends, _Ends]:
    ours, theirs = _Ends(), _Ends()
    with contextlib.ExitStack() as undo:
        for ends in (ours, theirs):
            undo.callback(ends.close_all)
        for stream in (STDOUT, STDERR):
            ours.outputs[stream], theirs.fds[stream] = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(ours.outputs[stream], False)
        if stdin:
            theirs.fds[0], ours.stdin = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(ours.stdin, False)
        undo.pop_all()
    return ours, theirs


def _terminal(session: ExecSession) -> tuple[_Ends, _Ends]:
    """A terminal between us and the runtime, which puts it in raw mode and passes on its size."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    session.terminal = master
    size = _size_of(session)
    if size is not None:
        set_size(master, size[0], size[1])
    return _Ends(outputs={STDOUT: master}, stdin=master), _Ends(fds={0: slave, 1: slave, 2: slave})


def _no_output() -> _Ends:
    """Output that has ended before it began."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.close(writer)
    return _Ends(outputs={STDOUT: reader})


def _never_ran(session: ExecSession, why: str) -> PipeStream:
    """The stream of a process that cannot be made, for its user is not known, say."""
    session.error, session.exit_code, session.running = why, 126, False
    session.ended.set()

    async def failure() -> str:
        return why

    stream = PipeStream(_no_output().outputs, None, is_tty=session.request.tty, failure=failure)
    stream.start()
    return stream


async def _handed_over(session: ExecSession, launched: Launched, console: ConsoleSocket) -> _Ends:
    """The terminal that the runtime made; where it made none, output that has ended."""
    try:
        terminal = await console.receive(launched.ended)
    finally:
        console.close()
    if terminal is None:
        return _no_output()
    size = _size_of(session)
    if size is not None:
        set_size(terminal, size[0], size[1])
    if session.running:
        session.terminal = terminal
    return _Ends(outputs={STDOUT: terminal}, stdin=terminal)


def _size_of(session: ExecSession) -> tuple[int, int] | None:
    """Height and width, where the caller has said them."""
    height, width = (*(session.size or session.request.console_size or ()), 0, 0)[:2]
    return (height, width) if height and width else None


def set_size(terminal: int, height: int, width: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


async def _verdict(session: ExecSession, launch: _Launch) -> str:
    """Why the program never ran. The runtime notes the pid as it begins, or ends without."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_VERDICT_S):
            while not launch.pid and not session.ended.is_set():
                await asyncio.sleep(_VERDICT_AGAIN_S)
    return session.error


def _end_session(session: ExecSession, launch: _Launch) -> None:
    ended, failure = launch.launched.ended, launch.failure()
    if failure is not None:
        session.error, session.exit_code = failure.message, failure.exit_code
    elif ended.cancelled() or ended.exception() is not None:
        session.exit_code = 137
    else:
        session.exit_code = ended.result()
    session.running = False
    session.terminal = None
    session.ended.set()
    remove_tree(launch.folder)


def check_exec(request: ExecCreate) -> None:
    """Raises InvalidArgument with Docker's text."""
    if not request.cmd or not request.cmd[0]:
        raise InvalidArgument("No exec command specified")


class ExecSessions:
    """Sessions by ID; ended ones are kept until their container's next start or removal."""

    def __init__(self) -> None:
        self._sessions: dict[str, ExecSession] = {}

    def add(self, container: Container, request: ExecCreate) -> ExecSession:
        check_exec(request)
        session = ExecSession(secrets.token_hex(32), container, request)
        self._sessions[session.id] = session
        return session

    def get(self, id: str) -> ExecSession:
        """Raises NotFound with Docker's text."""
        try:
            return self._sessions[id]
        except KeyError:
            raise NotFound(f"No such exec instance: {id}") from None

    def of(self, container_id: str) -> list[ExecSession]:
        return [s for s in self._sessions.values() if s.container.id == container_id]

    def forget(self, container_id: str) -> None:
        for session in self.of(container_id):
            if not session.running:
                del self._sessions[session.id]

    def resize(self, id: str, height: int, width: int) -> None:
        session = self.get(id)
        session.size = (height, width)
        if session.terminal is not None:
            set_size(session.terminal, height, width)
        elif session.started:
            raise Unavailable(f"exec {id[:12]}: has no terminal")


def _partial_output(output: asyncio.Task[bytes]) -> str:
    if output.done() and not output.cancelled() and output.exception() is None:
        return output.result().decode(errors="replace")
    return ""
