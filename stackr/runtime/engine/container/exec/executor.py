"""Runs further processes in a running container, for exec sessions and for health probes.

The OCI runtime's own `exec` stays beside the process and ends with its exit code; a daemon that
dies closes the pipes, and a caller that hangs up leaves the process running.
Source: Docker Engine API, `Exec`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stackr.errors import Conflict, InvalidArgument
from stackr.runtime.engine.container.exec.console_socket import ConsoleSocket
from stackr.runtime.engine.container.exec.ends import (
    Ends,
    handed_over,
    no_output,
    open_terminal,
    pipes,
)
from stackr.runtime.engine.container.exec.session import ExecSession, size_of
from stackr.runtime.engine.container.io.stream import PipeStream
from stackr.runtime.engine.container.oci.bundle import Surroundings, exec_process
from stackr.runtime.engine.container.oci.failure import StartFailure, start_failure
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.linking import Links
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.links import link_environment
from stackr.runtime.engine.container.settings.spec import ExecCreate
from stackr.runtime.engine.linux.launcher_client import Launched
from stackr.runtime.engine.linux.process import kill_tree, start_ticks
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.roots import make_folder

__all__ = ["ExecLaunch", "Executor"]

_KILL_PATIENCE_S = 5.0
_KILL_AGAIN_S = 0.02
_VERDICT_S = 30.0
_VERDICT_AGAIN_S = 0.02
_TIDY_AFTER_S = 0.1
"""A disk may take milliseconds for it, which nobody who waits for the end has to wait for."""
_FDS = 12  # that a start has open at a time, the runtime's ends of pipes included


@dataclass(slots=True)
class ExecLaunch:
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
            told = (self.folder / "log").read_text(errors="replace")  # it may quote a damaged file
            return start_failure(told, self.program, verb="exec")
        return start_failure("no reason is known", self.program, verb="exec")


class Executor:
    """Runs processes in containers; callers have checked that the container runs."""

    def __init__(self, parts: Parts) -> None:
        self._host = parts.host
        self._descriptors = parts.descriptors
        self._storage = parts.storage
        self._groups = parts.groups
        self._runtime = parts.runtime
        self._links = Links(parts.store, parts.networks)

    async def launch(
        self,
        container: Container,
        request: ExecCreate,
        fds: dict[int, int],
        size: tuple[int, int] | None = None,
    ) -> ExecLaunch:
        self._groups.expect_entry()
        folder = self._storage.bundle(container) / f"exec-{secrets.token_hex(8)}"
        around = Surroundings(
            host=self._host,
            user=self._storage.user(container, request.user or container.config.user),
            rootfs="",
            cgroup="",
            links=link_environment(self._links.known(container)),
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
        if self._has_ended(container):
            raise Conflict(f"container {container.id} is not running")
        # The bundle may have been removed, and runc runs itself in the folder of its file system.
        make_folder(self._storage.rootfs(container))
        folder.mkdir()
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
                oom_score_adj=container.host_config.oom_score_adj,
            )
        except BaseException:
            if console is not None:
                console.close()
            remove_tree(folder)
            raise
        return ExecLaunch(launched, folder, request.cmd[0], console)

    def _has_ended(self, container: Container) -> bool:
        """Or is about to be noticed as ended."""
        running = container.running
        if running is None:
            return True
        return not self._runtime.knows(container.id) and not start_ticks(running.pid)

    async def kill(self, launch: ExecLaunch, container: Container) -> None:
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
            launch = await self.launch(session.container, request, theirs.fds, size_of(session))
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
            ours = await handed_over(session, launch.launched, launch.console)
        stream = PipeStream(
            ours.outputs,
            ours.stdin,
            is_tty=request.tty,
            failure=lambda: _verdict(session, launch),
        )
        stream.start()
        return stream

    def _ends(self, session: ExecSession) -> tuple[Ends, Ends]:
        if not session.request.tty:
            return pipes(stdin=session.request.attach_stdin)
        if self._runtime.hands_over_terminals:
            return Ends(), Ends()
        return open_terminal(session)


def _never_ran(session: ExecSession, why: str) -> PipeStream:
    """The stream of a process that cannot be made, for its user is not known, say."""
    session.error, session.exit_code, session.running = why, 126, False
    session.ended.set()

    async def failure() -> str:
        return why

    stream = PipeStream(no_output().outputs, None, is_tty=session.request.tty, failure=failure)
    stream.start()
    return stream


async def _verdict(session: ExecSession, launch: ExecLaunch) -> str:
    """Why the program never ran. The runtime notes the pid as it begins, or ends without."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_VERDICT_S):
            while not launch.pid and not session.ended.is_set():
                await asyncio.sleep(_VERDICT_AGAIN_S)
    return session.error


def _end_session(session: ExecSession, launch: ExecLaunch) -> None:
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
    asyncio.get_running_loop().call_later(_TIDY_AFTER_S, remove_tree, launch.folder)
