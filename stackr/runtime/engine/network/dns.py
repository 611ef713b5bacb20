"""The resolver at 127.0.0.11 of each container.

Names of containers on the asker's networks are answered here; everything else goes to the host's
resolvers (or the container's own), asked from the host's network namespace, so that one on the
host's loopback serves containers too. Malformed packets get no answer. Source: RFC 1035, 6891.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
import struct
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Protocol

from stackr.runtime.engine.network.endpoint import DnsSockets
from stackr.runtime.engine.network.types import Endpoint

__all__ = ["DnsServer", "NameSource", "answer_locally", "ask_upstream"]

_TTL_S = 600
_UDP_BYTES = 512  # without EDNS
_MAX_BYTES = 65535
_UPSTREAM_TIMEOUT_S = 3.0
_UPSTREAM_SERVERS = 3
_TCP_IDLE_S = 10.0
_MAX_QUERIES = 256  # of one container, under way upstream
_MAX_CONNECTIONS = 64
_BURST = 64  # datagrams read at once before the loop turns to others
_SERVFAIL = 2
_HEADER = struct.Struct("!HHHHHH")


class NameSource(Protocol):
    """What a resolver asks of the networks, for one container."""

    def lookup(self, name: str) -> list[Endpoint]: ...

    def reverse(self, address: str) -> Endpoint | None: ...

    def upstreams(self) -> Sequence[str]:
        """IP addresses to forward to; none where nothing may leave."""


def _parse(data: bytes) -> Any | None:
    """A query with one question, or None."""
    import dnslib

    try:
        query = dnslib.DNSRecord.parse(data)
    except (dnslib.DNSError, ValueError, IndexError, struct.error, UnicodeError):
        return None
    if query.header.qr or query.header.opcode or len(query.questions) != 1:
        return None
    return query


def answer_locally(query: Any, names: NameSource) -> Any | None:
    """A reply for a name or address of ours; None for anybody else's.

    A name of ours has no other records: what is not A or AAAA gets an empty answer.
    """
    import dnslib

    question = query.questions[0]
    name = str(question.qname)
    if question.qtype == dnslib.QTYPE.PTR:
        address = _reversed_address(name)
        holder = names.reverse(address) if address else None
        if holder is None:
            return None
        target = f"{holder.container_name}.{holder.network_name}."
        return _reply(
            query, [dnslib.RR(name, dnslib.QTYPE.PTR, ttl=_TTL_S, rdata=dnslib.PTR(target))]
        )
    endpoints = names.lookup(name)
    if not endpoints:
        return None
    records = [
        dnslib.RR(name, question.qtype, ttl=_TTL_S, rdata=record)
        for record in _addresses(endpoints, question.qtype)
    ]
    random.shuffle(records)
    return _reply(query, records)


def _addresses(endpoints: Sequence[Endpoint], kind: int) -> list[Any]:
    import dnslib

    if kind == dnslib.QTYPE.A:
        return [dnslib.A(e.ipv4_address) for e in endpoints if e.ipv4_address]
    if kind == dnslib.QTYPE.AAAA:
        return [dnslib.AAAA(e.ipv6_address) for e in endpoints if e.ipv6_address]
    return []


def _reply(query: Any, records: Sequence[Any]) -> Any:
    reply = query.reply(ra=1, aa=0)
    for record in records:
        reply.add_answer(record)
    return reply


def _reversed_address(name: str) -> str | None:
    """`4.3.2.1.in-addr.arpa.` -> "1.2.3.4", and IPv6 alike."""
    lowered = name.lower().rstrip(".")
    try:
        if lowered.endswith(".in-addr.arpa"):
            labels = lowered.removesuffix(".in-addr.arpa").split(".")
            return str(ip_address(".".join(reversed(labels))))
        if lowered.endswith(".ip6.arpa"):
            digits = "".join(reversed(lowered.removesuffix(".ip6.arpa").split(".")))
            groups = [digits[i : i + 4] for i in range(0, len(digits), 4)]
            return str(ip_address(":".join(groups)))
    except ValueError:
        pass
    return None


def _failure(query: Any) -> Any:
    reply = query.reply(ra=1, aa=0)
    reply.header.rcode = _SERVFAIL
    return reply


def _pack_for_udp(query: Any, reply: Any) -> bytes:
    """Cut to what the asker can take, and marked so: it then asks by TCP."""
    limit = _UDP_BYTES
    for record in query.ar:
        if record.rtype == 41:  # OPT: the class is the size
            limit = max(_UDP_BYTES, record.rclass)
    packed: bytes = reply.pack()
    if len(packed) > limit:
        packed = reply.truncate().pack()
    return packed


async def ask_upstream(data: bytes, servers: Sequence[str], *, tcp: bool) -> bytes | None:
    """The first answer of the servers in turn, as they gave it; None where none answers in time.

    The query goes out under an ID of its own, from a port of its own.
    """
    own_id = secrets.token_bytes(2)
    for server in servers[:_UPSTREAM_SERVERS]:
        try:
            async with asyncio.timeout(_UPSTREAM_TIMEOUT_S):
                exchange = _exchange_tcp if tcp else _exchange_udp
                answer = await exchange(own_id + data[2:], server)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            continue
        return data[:2] + answer[2:]
    return None


async def _exchange_udp(data: bytes, server: str) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as upstream:
        await loop.sock_connect(upstream, _socket_address(server))
        await loop.sock_sendall(upstream, data)
        while True:
            answer = await loop.sock_recv(upstream, _MAX_BYTES)
            if len(answer) >= _HEADER.size and answer[:2] == data[:2] and answer[2] & 0x80:
                return answer


async def _exchange_tcp(data: bytes, server: str) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(len(data).to_bytes(2, "big") + data)
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = await reader.readexactly(length)
    finally:
        writer.close()
    if len(answer) < _HEADER.size or answer[:2] != data[:2]:
        raise OSError("answer to another query")
    return answer


def _socket_address(server: str) -> Any:
    if ":" not in server:
        return (server, 53)
    address, _, zone = server.partition("%")
    return (address, 53, 0, socket.if_nametoindex(zone) if zone else 0)


class DnsServer:
    """Serves one container's sockets until `close`."""

    def __init__(self, sockets: DnsSockets, names: NameSource) -> None:
        self._sockets = sockets
        self._names = names
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    def start(self) -> None:
        self._loop.add_reader(self._sockets.udp, self._readable)
        self._loop.add_reader(self._sockets.tcp, self._acceptable)

    def close(self) -> None:
        self._loop.remove_reader(self._sockets.udp)
        self._loop.remove_reader(self._sockets.tcp)
        for task in self._tasks:
            task.cancel()
        self._sockets.close()

    def _spawn(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _readable(self) -> None:
        for _ in range(_BURST):
            try:
                data, address = self._sockets.udp.recvfrom(_MAX_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return  # an ICMP error of an earlier answer
            self._answer_udp(data, address)

    def _answer_udp(self, data: bytes, address: Any) -> None:
        query = _parse(data)
        if query is None:
            return
        reply = answer_locally(query, self._names)
        if reply is not None:
            self._send(_pack_for_udp(query, reply), address)
            return
        servers = self._names.upstreams()
        if not servers or len(self._tasks) >= _MAX_QUERIES:
            self._send(_failure(query).pack(), address)
            return
        self._spawn(self._forward_udp(query, data, servers, address))

    async def _forward_udp(
        self, query: Any, data: bytes, servers: Sequence[str], address: Any
    ) -> None:
        answer = await ask_upstream(data, servers, tcp=False)
        self._send(answer or _failure(query).pack(), address)

    def _send(self, packet: bytes, address: Any) -> None:
        with contextlib.suppress(OSError):  # the asker has gone, or its buffer is full
            self._sockets.udp.sendto(packet, address)

    def _acceptable(self) -> None:
        try:
            connection, _ = self._sockets.tcp.accept()
        except OSError:
            return
        connection.setblocking(False)
        if self._connections >= _MAX_CONNECTIONS:
            connection.close()
            return
        self._connections += 1
        self._spawn(self._serve_tcp(connection))

    async def _serve_tcp(self, connection: socket.socket) -> None:
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
            while True:
                async with asyncio.timeout(_TCP_IDLE_S):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    data = await reader.readexactly(length)
                answer = await self._answer_tcp(data)
                if answer is None:
                    return
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the asker is done
        finally:
            self._connections -= 1
            if writer is None:
                connection.close()
            else:
                writer.close()

    async def _answer_tcp(self, data: bytes) -> bytes | None:
        query = _parse(data)
        if query is None:
            return None
        reply = answer_locally(query, self._names)
        if reply is None:
            servers = self._names.upstreams()
            answer = await ask_upstream(data, servers, tcp=True)
            if answer is not None:
                return answer
            reply = _failure(query)
        packed: bytes = reply.pack()
        return packed
