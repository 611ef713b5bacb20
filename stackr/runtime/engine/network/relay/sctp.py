"""Associations to a published SCTP port, each carried as TCP connections are (`tcp.py`).

What is read at once is one message, or a part of one that is larger than the buffer, and is sent as
one, on the first stream: as Docker's proxy has it. SCTP knows no half-close: the end of a side ends
the other once all is delivered. Source: RFC 6458; linux/sctp.h.
"""

from __future__ import annotations

import socket
import struct

from stackr.runtime.engine.network.relay.tcp import Connection, TcpPort

__all__ = ["SctpPort"]

_SCTP_INITMSG, _SCTP_NODELAY = 2, 3
_INIT = struct.pack("=HHHH", 0, 0, 3, 0)
"""struct sctp_initmsg: streams as usual, three attempts to begin, times as usual."""


class SctpPort(TcpPort):
    """A socket of the one-to-one style that listens."""

    __slots__ = ()

    def led(self, outer: socket.socket) -> Connection:
        return Association(self, outer)


class Association(Connection):
    """A client's association, and the one to its container."""

    __slots__ = ()

    NO_DELAY = (socket.IPPROTO_SCTP, _SCTP_NODELAY)

    @staticmethod
    def opened() -> socket.socket:
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        inner.setsockopt(socket.IPPROTO_SCTP, _SCTP_INITMSG, _INIT)
        return inner

    def try_connect(self) -> int:
        """To connect again after a failure would begin anew, where TCP tells of the failure."""
        inner = self.inner.socket
        return inner.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or super().try_connect()
