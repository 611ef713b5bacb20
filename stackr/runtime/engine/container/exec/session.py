"""The exec sessions of callers: what was asked for, and what has become of it.

Source: Docker Engine API, `Exec`.
"""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import struct
import termios
from dataclasses import dataclass, field

from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.spec import ExecCreate

__all__ = ["ExecSession", "ExecSessions", "set_size", "size_of"]


@dataclass(slots=True)
class ExecSession:
    """exit_code: None until the process has ended; pid: the host's number, 0 where unknown.

    attended: a caller has its streams.
    """

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
    attended: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class ExecSessions:
    """Sessions by ID; ended ones are kept until their container's next start or removal."""

    def __init__(self) -> None:
        self._sessions: dict[str, ExecSession] = {}

    def add(self, container: Container, request: ExecCreate) -> ExecSession:
        _check(request)
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
        if session.ended.is_set():
            raise NotFound(f"process {id} not found")
        if session.terminal is not None:
            set_size(session.terminal, height, width)


def _check(request: ExecCreate) -> None:
    """Raises InvalidArgument with Docker's text."""
    if not request.cmd:
        raise InvalidArgument("No exec command specified")


def size_of(session: ExecSession) -> tuple[int, int] | None:
    """Height and width, where the caller has said them."""
    height, width = (*(session.size or session.request.console_size or ()), 0, 0)[:2]
    return (height, width) if height and width else None


def set_size(terminal: int, height: int, width: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
