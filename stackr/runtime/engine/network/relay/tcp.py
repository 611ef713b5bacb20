"""Connections to a published TCP port, each carried to the container that has the port then.

What is read is written at once, from one buffer that all connections share; a side that does not
take it all is waited for, and the other not read meanwhile. The end of one direction is passed on
as a half-close.
"""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress

from stackr.runtime.engine.linux.loop import IN, OUT
from stackr.runtime.engine.network.relay.port import Client, Port

__all__ = ["TcpPort"]

_BURST = 64
_SYN_RETRIES = 2  # 7 s
_DESCRIPTORS = 2
_PAUSE_S = 0.2
_RESET = struct.pack("ii", 1, 0)
_BUFFER = bytearray(1 << 18)
_VIEW = memoryview(_BUFFER)


class TcpPort(Port):
    """A socket that listens."""

    __slots__ = ()

    def led(self, outer: socket.socket) -> Connection:
        """Somebody's connection, with one to the container."""
        return Connection(self, outer)

    def ready(self) -> None:
        accepted = []
        try:
            for _ in range(_BURST):
                accepted.append(self.socket.accept()[0])
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ECONNABORTED:
                self.pause(_PAUSE_S)  # no descriptor, or no memory: it would be ready for ever
        self.relay.catch_up()
        for connection in accepted:
            if not self.is_closed and self.admits(_DESCRIPTORS):
                self.led(connection).connect()
            else:
                _reset(connection)


def _reset(connection: socket.socket) -> None:
    """It is told at once that there is nobody."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


class _Side:
    """One of a connection's sockets. unsent: what it has not taken yet; ended: has said all."""

    __slots__ = ("ended", "events", "fd", "socket", "unsent")

    def __init__(self, connection: socket.socket, no_delay: tuple[int, int]) -> None:
        connection.setblocking(False)
        connection.setsockopt(*no_delay, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a host may vanish
        self.socket = connection
        self.fd = connection.fileno()
        self.unsent = b""
        self.ended = False
        self.events = 0


class Connection(Client):
    """A client's connection, and the one to its container."""

    __slots__ = ("_outer", "_target", "inner")

    NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def __init__(self, port: TcpPort, outer: socket.socket) -> None:
        super().__init__(port, _DESCRIPTORS)
        self._outer, self.inner = _Side(outer, self.NO_DELAY), _Side(self.opened(), self.NO_DELAY)
        self._target = port.target

    @staticmethod
    def opened() -> socket.socket:
        """One that is to lead to the container."""
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _SYN_RETRIES)
        return inner

    def connect(self) -> None:
        """To the container; a client that cannot be led there is closed."""
        self.relay.loop.watch(self.inner.fd, self._connecting, OUT)
        self._connecting()

    def end(self) -> None:
        for side in (self._outer, self.inner):
            self.relay.loop.unwatch(side.fd)
            side.socket.close()

    def _connecting(self) -> None:
        code = self.try_connect()
        if code == errno.EINPROGRESS:
            code = self.try_connect()  # over a bridge it is done
        if code in (0, errno.EISCONN):
            self._start()
        elif code != errno.EALREADY:
            self.close()

    def try_connect(self) -> int:
        """The error's number; EALREADY while it is under way."""
        return self.inner.socket.connect_ex(self._target)

    def _start(self) -> None:
        self.relay.loop.unwatch(self.inner.fd)
        self._await(self.inner, self._outer)
        self._await(self._outer, self.inner)

    def _ready(self, side: _Side, other: _Side) -> None:
        try:
            if side.unsent:
                _flush(side)
            if not side.ended and not other.unsent and _carry(side, other) and side.events == IN:
                return  # as mostly: nothing else to wait for than before
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if side.ended and other.ended and not side.unsent and not other.unsent:
            self.close()
            return
        self._await(side, other)
        self._await(other, side)

    def _await(self, side: _Side, other: _Side) -> None:
        """Watch a side for what it is waited for, and not at all where that is nothing: a side that
        has hung up would tell so for ever."""
        events = 0 if side.ended or other.unsent else IN
        if side.unsent:
            events |= OUT
        if events == side.events:
            return
        loop, before, side.events = self.relay.loop, side.events, events
        if not events:
            loop.unwatch(side.fd)
        elif before:
            loop.change(side.fd, events)
        else:
            loop.watch(side.fd, lambda: self._ready(side, other), events)


def _carry(source: _Side, sink: _Side) -> bool:
    """What there is to read, to the other side; whether that took it all.

    Raises BlockingIOError, OSError.
    """
    count = source.socket.recv_into(_BUFFER)
    if not count:
        source.ended = True
        sink.socket.shutdown(socket.SHUT_WR)
        return False
    try:
        sent = sink.socket.send(_VIEW[:count])
    except BlockingIOError:
        sent = 0
    if sent < count:
        sink.unsent = bytes(_VIEW[sent:count])
    return sent == count


def _flush(side: _Side) -> None:
    sent = side.socket.send(side.unsent)
    side.unsent = side.unsent[sent:]
