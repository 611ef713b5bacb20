"""The exec sessions, as the API uses them."""

from __future__ import annotations

from stackr.errors import Conflict
from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.exec.executor import Executor
from stackr.runtime.engine.container.exec.session import ExecSession, ExecSessions
from stackr.runtime.engine.container.io.stream import PipeStream
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.state import Verb, check
from stackr.runtime.engine.container.settings.spec import ExecCreate

__all__ = ["Execs"]


class Execs:
    """References are names, IDs, or unique starts of IDs of containers; `id` is a session's."""

    def __init__(self, parts: Parts, executor: Executor) -> None:
        self._parts = parts
        self._executor = executor
        self._sessions = ExecSessions()

    async def create(self, ref: str, request: ExecCreate) -> str:
        """The ID of a session to start. Raises Conflict where the container does not run."""
        container = self._parts.store.existing(ref)
        await self._parts.lives[container.id].settled()
        check(container.state.status, Verb.EXEC, id=container.id, name=container.name)
        session = self._sessions.add(container, request)
        self._parts.groups.expect_entry()
        command = " ".join(request.cmd)
        events = self._parts.events
        announce(events, container, f"exec_create: {command}", {"execID": session.id})
        return session.id

    def get(self, id: str) -> ExecSession:
        """Raises NotFound."""
        return self._sessions.get(id)

    def startable(self, id: str) -> ExecSession:
        """Raises NotFound, and Conflict where its container does not run."""
        session = self._sessions.get(id)
        container = session.container
        check(container.state.status, Verb.EXEC, id=container.id, name=container.name)
        return session

    def detached(self, id: str) -> None:
        """Tell that its user has left by the keys for it."""
        announce(
            self._parts.events, self._sessions.get(id).container, "exec_detach", {"execID": id}
        )

    def of(self, ref: str) -> list[str]:
        """The IDs of a container's sessions."""
        return [s.id for s in self._sessions.of(self._parts.store.existing(ref).id)]

    def forget(self, container_id: str) -> None:
        """Those that have ended: the container is started anew, or has gone."""
        self._sessions.forget(container_id)

    async def start(self, id: str, *, size: tuple[int, int] | None = None) -> PipeStream:
        """Start the session. A caller that detaches, or goes, hands the stream to `drain`."""
        session = self.startable(id)
        if session.started:
            state = "is already running" if session.running else "has already run"
            raise Conflict(f"Error: Exec command {id} {state}")
        container = session.container
        session.size = size
        stream = await self._executor.start(session)
        session.attended = True
        command = " ".join(session.request.cmd)
        announce(self._parts.events, container, f"exec_start: {command}", {"execID": id})
        self._parts.tasks.start(self._announce_end(session), f"exec {id[:12]}")
        return stream

    async def _announce_end(self, session: ExecSession) -> None:
        await session.ended.wait()
        extra = {"execID": session.id, "exitCode": str(session.exit_code)}
        announce(self._parts.events, session.container, "exec_die", extra)

    def attended(self, container_id: str) -> bool:
        """Whether somebody works in a container: has a session in it that has not ended."""
        return any(s.running and s.attended for s in self._sessions.of(container_id))

    def drain(self, id: str, stream: PipeStream) -> None:
        """Read a stream to its end in the background, for a session that nobody listens to."""
        self._sessions.get(id).attended = False
        self._parts.tasks.start(_drain(stream), "drain")

    def resize(self, id: str, *, height: int, width: int) -> None:
        self._sessions.resize(id, height, width)


async def _drain(stream: PipeStream) -> None:
    try:
        while await stream.read() is not None:
            pass
    finally:
        await stream.close()
