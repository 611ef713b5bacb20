"""The attach socket of a container's monitor."""

from __future__ import annotations

import socket

from stackr.runtime.engine.container.io.stream import ConsoleStream


async def test_output_that_comes_before_the_monitor_goes_is_read_although_input_was_left() -> None:
    ours, monitors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    stream = ConsoleStream(ours)
    await stream.write(b"a line that nobody reads")
    monitors.send(b"\2first")
    monitors.send(b"\3second")
    monitors.close()
    assert await stream.read() == (1, b"first")
    assert await stream.read() == (2, b"second")
    assert await stream.read() is None
    await stream.close()
