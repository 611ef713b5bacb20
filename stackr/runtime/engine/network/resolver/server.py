"""The sockets at 127.0.0.11 of one container: datagrams and connections, answered or forwarded."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Sequence

from stackr.runtime.engine.linux.loop import Deadline, Loop, Task
from stackr.runtime.engine.network.resolver import message
from stackr.runtime.engine.network.resolver.answer import answer_locally
from stackr.runtime.engine.network.resolver.table import Names
from stackr.runtime.engine.network.resolver.upstream import ask_upstream, read_exactly, send_all

__all__ = ["ContainerServer", "View"]

_MAX_BYTES = 65535
_MAX_QUERIES = 256  # of one container, under way upstream
_MAX_CONNECTIONS = 64
_BURST = 64  # datagrams read at once before the loop turns to others
_TCP_IDLE_S = 10.0

Address = tuple[str, int]


class View:
    """What the servers of all containers share.

    catch_up: takes in what the daemon has said so far. It is called between the receipt of a query
    and its answer, so that who asks after an API call has returned sees what that call did.
    """

    __slots__ = ("catch_up", "host_nameservers", "loop", "names")

    def __init__(
        self,
        loop: Loop,
        names: Names,
        host_nameservers: Callable[[], Sequence[str]],
        catch_up: Callable[[], None],
    ) -> None:
        self.loop = loop
        self.names = names
        self.host_nameservers = host_nameservers
        self.catch_up = catch_up


class ContainerServer:
    """Owns its sockets from the start until `close`."""

    def __init__(
        self, container_id: str, udp: socket.socket, tcp: socket.socket, view: View
    ) -> None:
        self._id = container_id
        self._udp = udp
        self._tcp = tcp
        self._view = view
        self._queries: set[Task] = set()
        self._connections: set[Task] = set()
        self._closed = False

    def start(self) -> None:
        self._view.loop.watch(self._udp.fileno(), self._readable)
        self._view.loop.watch(self._tcp.fileno(), self._acceptable)

    def close(self) -> None:
        """No socket stays in the container's namespace."""
        if self._closed:
            return
        self._closed = True
        for listener in (self._udp, self._tcp):
            self._view.loop.unwatch(listener.fileno())
            listener.close()
        for task in (*self._queries, *self._connections):
            task.cancel()

    # --- datagrams ---------------------------------------------------------------------------

    def _readable(self) -> None:
        received = []
        try:
            for _ in range(_BURST):
                received.append(self._udp.recvfrom(_MAX_BYTES))
        except OSError:
            pass  # that was all, or an ICMP error of an earlier answer
        self._view.catch_up()
        for data, address in received:
            if self._closed:
                return
            self._answer_datagram(data, address)

    def _answer_datagram(self, data: bytes, address: Address) -> None:
        query = message.parse_query(data)
        if query is None:
            return
        reply = self._local(query)
        if reply is not None:
            self._send(message.fitted(query, reply, query.udp_bytes), address)
            return
        servers = self._upstreams()
        if not servers or len(self._queries) >= _MAX_QUERIES:
            self._send(message.reply(query, code=message.SERVFAIL), address)
            return
        self._view.loop.spawn(self._forward_datagram(query, data, servers, address), self._queries)

    async def _forward_datagram(
        self, query: message.Query, data: bytes, servers: Sequence[str], address: Address
    ) -> None:
        answer = await ask_upstream(data, servers, tcp=False)
        self._send(answer or message.reply(query, code=message.SERVFAIL), address)

    def _send(self, packet: bytes, address: Address) -> None:
        with contextlib.suppress(OSError):  # the asker has gone, or its buffer is full
            self._udp.sendto(packet, address)

    # --- connections -------------------------------------------------------------------------

    def _acceptable(self) -> None:
        try:
            connection, _ = self._tcp.accept()
        except OSError:
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            connection.close()
            return
        self._view.loop.spawn(self._serve(connection), self._connections)

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            try:
                while await self._exchange(connection):
                    pass
            except (OSError, EOFError, Deadline):
                return  # the asker is done

    async def _exchange(self, connection: socket.socket) -> bool:
        """One query and its answer; False where there is none."""
        deadline = time.monotonic() + _TCP_IDLE_S
        length = int.from_bytes(await read_exactly(connection, 2, deadline), "big")
        data = await read_exactly(connection, length, deadline)
        self._view.catch_up()
        query = message.parse_query(data)
        if query is None or self._closed:
            return False
        answer = self._local(query)
        if answer is not None:
            answer = message.fitted(query, answer, _MAX_BYTES)
        else:
            answer = await ask_upstream(data, self._upstreams(), tcp=True)
        answer = answer or message.reply(query, code=message.SERVFAIL)
        deadline = time.monotonic() + _TCP_IDLE_S
        await send_all(connection, len(answer).to_bytes(2, "big") + answer, deadline)
        return True

    # --- parts of the above ------------------------------------------------------------------

    def _local(self, query: message.Query) -> bytes | None:
        asker = self._view.names.get(self._id)
        return answer_locally(query, self._view.names, asker) if asker else None

    def _upstreams(self) -> Sequence[str]:
        asker = self._view.names.get(self._id)
        if asker is None:
            return ()
        return self._view.host_nameservers() if asker.upstreams is None else asker.upstreams
