"""Where the output of a further process comes from: pipes, or a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
from dataclasses import dataclass, field

from stackr.runtime.engine.container.exec.console_socket import ConsoleSocket
from stackr.runtime.engine.container.exec.session import ExecSession, set_size, size_of
from stackr.runtime.engine.container.io.stream import STDERR, STDOUT
from stackr.runtime.engine.linux.launcher_client import Launched

__all__ = ["Ends", "handed_over", "no_output", "open_terminal", "pipes"]


@dataclass(slots=True)
class Ends:
    """One side's descriptors. fds: the program's number -> descriptor."""

    fds: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)
    stdin: int | None = None

    def close_all(self) -> None:
        stdin = [] if self.stdin is None else [self.stdin]
        for fd in {*self.fds.values(), *self.outputs.values(), *stdin}:
            os.close(fd)


def pipes(*, stdin: bool) -> tuple[Ends, Ends]:
    ours, theirs = Ends(), Ends()
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


def open_terminal(session: ExecSession) -> tuple[Ends, Ends]:
    """A terminal between us and the runtime, which puts it in raw mode and passes on its size."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    session.terminal = master
    size = size_of(session)
    if size is not None:
        set_size(master, size[0], size[1])
    return Ends(outputs={STDOUT: master}, stdin=master), Ends(fds={0: slave, 1: slave, 2: slave})


def no_output() -> Ends:
    """Output that has ended before it began."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.close(writer)
    return Ends(outputs={STDOUT: reader})


async def handed_over(session: ExecSession, launched: Launched, console: ConsoleSocket) -> Ends:
    """The terminal that the runtime made; where it made none, output that has ended."""
    try:
        terminal = await console.receive(launched.ended)
    finally:
        console.close()
    if terminal is None:
        return no_output()
    size = size_of(session)
    if size is not None:
        set_size(terminal, size[0], size[1])
    if session.running:
        session.terminal = terminal
    return Ends(outputs={STDOUT: terminal}, stdin=terminal)
