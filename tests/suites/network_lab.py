"""Containers, servers in them and requests between them, for tests of the network part."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dnslib
import pytest
from polling import until

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.command import CommandError, run
from stackr.runtime.engine.network.nameserver import Nameserver
from stackr.runtime.engine.network.service import Networks
from stackr.runtime.engine.network.types import ContainerNet, EndpointSpec, Publication
from stackr.runtime.engine.state import State

DEADLINE_S = 60.0
_PATIENCE_S = 30.0
_SILENCE_S = 1.5
_libc = ctypes.CDLL(None, use_errno=True)


def has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


SCTP = pytest.param(
    "sctp", marks=pytest.mark.skipif(not has_sctp(), reason="the kernel has no SCTP")
)


async def eventually(fact: Callable[[], Awaitable[bool]], what: str) -> None:
    """`polling.until`, for a fact that one has to wait for."""
    deadline = time.monotonic() + DEADLINE_S
    while not await fact():
        assert time.monotonic() < deadline, f"not reached in time: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Process:
    """A process in a network namespace of its own, which stands for a container."""

    popen: subprocess.Popen[bytes]
    id: str = field(default_factory=lambda: secrets.token_hex(32))

    @property
    def pid(self) -> int:
        return self.popen.pid

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()


class Lab:
    """Containers, servers in them, and requests between them."""

    def __init__(self) -> None:
        self._processes: list[Process] = []

    def process(self) -> Process:
        own = os.readlink("/proc/thread-self/ns/net")
        process = Process(subprocess.Popen(["unshare", "-n", "busybox", "sleep", "600"]))
        self._processes.append(process)

        def is_apart() -> bool:
            # Not before `exec`: until then the new namespace is there, but `sleep` is not.
            return os.readlink(f"/proc/{process.pid}/ns/net") != own and Path(
                f"/proc/{process.pid}/cmdline"
            ).read_bytes().startswith(b"busybox")

        until(is_apart, "a namespace of its own")
        return process

    def serve(self, process: Process, port: int, text: str, *, protocol: str = "tcp") -> Process:
        """Answer each client with the text and the client's address."""
        argv = ["nsenter", "-n", "-t", str(process.pid), "python3", "-S", "-c"]
        argv += [f"import socket,sys\n{_SERVER}", str(port), text, protocol]
        server = Process(subprocess.Popen(argv))
        self._processes.append(server)
        folder = Path(f"/proc/{process.pid}/net")
        tables = [folder / protocol, folder / f"{protocol}6"]
        wanted = f":{port:04X} "
        if protocol == "sctp":
            tables, wanted = [folder / "sctp/eps"], f" {port} "
        until(lambda: any(wanted in path.read_text() for path in tables), "a listener")
        return server

    async def ask(
        self,
        address: str,
        port: int,
        *,
        source: Process | None = None,
        protocol: str = "tcp",
        patience_s: float = _PATIENCE_S,
    ) -> str:
        """What the server says; "" where it cannot be reached, or is silent for so long."""
        inside = ["nsenter", "-n", "-t", str(source.pid)] if source else []
        program = f"import socket,sys\n{_CLIENT}"
        argv = [*inside, "python3", "-S", "-c", program, address, str(port), str(patience_s)]
        try:
            return (await run([*argv, protocol], timeout_s=DEADLINE_S)).strip()
        except CommandError:
            return ""

    async def is_cut_off(
        self, address: str, port: int, *, source: Process | None = None, protocol: str = "tcp"
    ) -> bool:
        """Whether nothing is heard of a server that would answer at once."""
        answer = await self.ask(
            address, port, source=source, protocol=protocol, patience_s=_SILENCE_S
        )
        return answer == ""

    async def dig(self, process: Process, *arguments: str, patience_s: int = 30) -> list[str]:
        inside = ["nsenter", "-n", "-t", str(process.pid)]
        query = ["dig", "@127.0.0.11", "+tries=1", f"+timeout={patience_s}", *arguments]
        return (await run([*inside, *query])).splitlines()

    async def answered(self, source: Process, name: str, address: str) -> None:
        """Sooner or later: a resolver was just lost, or waits for another, which it gives up."""

        async def is_answered() -> bool:
            with suppress(CommandError):
                return await self.dig(source, "+short", name, patience_s=2) == [address]
            return False

        await eventually(is_answered, f"an answer for {name}")

    def run_in(self, process: Process, commands: str) -> str:
        inside = ["nsenter", "-n", "-t", str(process.pid), "sh", "-ec", commands]
        return subprocess.run(inside, check=True, capture_output=True, text=True).stdout

    def neighbour(self, address: str, host_address: str) -> Process:
        """Another host on a link with this one, which routes everything by it."""
        process = self.process()
        commands = f"""
            ip link add lan0 type veth peer name lan0 netns {process.pid}
            ip address add {host_address}/24 dev lan0
            ip link set lan0 up
            nsenter -n -t {process.pid} ip address add {address}/24 dev lan0
            nsenter -n -t {process.pid} ip link set lan0 up
            nsenter -n -t {process.pid} ip route add default via {host_address}
        """
        subprocess.run(["sh", "-ec", commands], check=True)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()


_SERVER = """
port, text, protocol = int(sys.argv[1]), sys.argv[2], sys.argv[3]
udp = protocol == "udp"
number = socket.IPPROTO_SCTP if protocol == "sctp" else 0
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM, number)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", port))
if not udp:
    s.listen(16)
while True:
    if udp:
        _, client = s.recvfrom(1000)
        s.sendto(f"{text} {client[0]}".encode(), client)
    else:
        connection, client = s.accept()
        connection.send(f"{text} {client[0]}".encode())
        connection.close()
"""

_CLIENT = """
address, port, patience_s, protocol = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
udp = protocol == "udp"
number = socket.IPPROTO_SCTP if protocol == "sctp" else 0
s = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM, number)
s.settimeout(patience_s)
s.connect((address, port))
if udp:
    s.send(b"?")
print(s.recv(1000).decode())
"""


def lookup(pid: int, name: str, *, is_lost: bool = False) -> str:
    """What `nslookup` prints in a container, by its own resolv.conf; that needs no daemon.

    It waits for a few seconds only, and is run again where the resolver was not that quick.
    is_lost: there is no resolver to wait for.
    """
    argv = ["nsenter", "-m", "-n", "-r", "-t", str(pid), "nslookup", name]
    deadline = time.monotonic() + DEADLINE_S
    while True:
        told = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S).stdout
        if is_lost or "timed out" not in told or time.monotonic() > deadline:
            return told


def own_listener() -> socket.socket:
    """For `upstream`: on an address of the loopback that no other test has."""
    while True:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            listener.bind((f"127.53.{random.randrange(256)}.{random.randrange(1, 255)}", 53))
        except OSError:
            listener.close()
        else:
            return listener


@contextmanager
def upstream(at: str | socket.socket = "127.0.0.53") -> Iterator[list[str]]:
    """A resolver on the host's loopback that answers 192.0.2.7; yields the names it was asked."""
    asked: list[str] = []
    listener = at if isinstance(at, socket.socket) else _listener(at)
    address = listener.getsockname()

    def serve() -> None:
        while data := listener.recvfrom(4096):
            packet, client = data
            if packet == b"stop":
                return
            query = dnslib.DNSRecord.parse(packet)
            asked.append(str(query.q.qname))
            reply = query.reply()
            reply.add_answer(dnslib.RR(query.q.qname, rdata=dnslib.A("192.0.2.7"), ttl=5))
            listener.sendto(reply.pack(), client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"stop", address)
        thread.join()
        listener.close()


def _listener(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((address, 53))
    return listener


def host_interfaces() -> set[str]:
    lines = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines}


def ruleset() -> str:
    return subprocess.run(
        ["nft", "list", "ruleset"], check=True, capture_output=True, text=True
    ).stdout


@dataclass
class Engine:
    """The network part on a data root; `restart` is what SIGKILL and a new start do."""

    config: EngineConfig
    state: State
    events: EventBus
    networks: Networks
    resolv_conf: Path

    @property
    def names(self) -> Nameserver:
        return self.networks._sandboxes._names

    async def restart(self) -> None:
        await self.abandon()
        await self.start_again()

    async def abandon(self) -> None:
        """What the kernel does for a process that is killed: every descriptor is closed."""
        await self.networks._bridges._watch.close()
        await self.networks._sandboxes._publisher.close()
        await self.names.close()
        await self.networks._kernel.close()
        self.networks._host_routes.close()

    async def start_again(self) -> None:
        self.networks = Networks(
            self.config, self.state, self.events, host_resolv_conf=self.resolv_conf
        )
        await self.networks.open()

    async def attach(
        self,
        process: Process,
        *networks: str | EndpointSpec,
        name: str = "web",
        ports: tuple[Publication, ...] = (),
        standby: bool = False,
    ) -> str:
        """Connect a container to networks; returns its IPv4 address on the first."""
        specs = tuple(n if isinstance(n, EndpointSpec) else EndpointSpec(n) for n in networks)
        container = ContainerNet(process.id, name, specs, ports, standby=standby)
        info = await self.networks.attach(container, process.pid)
        return next(iter(info.endpoints.values())).ipv4_address
