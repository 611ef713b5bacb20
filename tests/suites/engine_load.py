"""Many at once: containers, clients, connections, followers of logs and of events.

Nothing may fail and nothing may be lost, and afterwards the daemon has the descriptors that it had
before. `scripts/test-load` runs it at full size and shows the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from engine_calls import Calls, close, head

__all__ = ["FULL", "Load", "Size"]

_DEADLINE_S: Final = 3600.0
_SETTLES_S: Final = 30.0
_STARTS_AT_ONCE: Final = 16
_KB: Final = re.compile(r"VmRSS:\s+(\d+) kB")
_SCRIPT: Final = "while :; do echo tick; sleep 1; done"
_TICKS: Final = 2
_ON_A_NETWORK: Final = 500
"""A bridge of Linux has 1,023 ports at most."""


@dataclass(frozen=True, slots=True)
class Size:
    """clients: that ask `calls` times each. connects: opened before any of them asks."""

    containers: int = 200
    clients: int = 200
    calls: int = 10
    connects: int = 600
    log_followers: int = 200
    event_followers: int = 50
    ends: int = 5


FULL: Final = Size()


@dataclass(frozen=True, slots=True)
class Load:
    """socket, pid: of the daemon. tell: is told the figures, in lines."""

    socket: Path
    pid: int
    image: str
    size: Size
    tell: Callable[[str], object]

    async def run(self) -> None:
        """Raises AssertionError, TimeoutError, or OSError where something fails or is lost."""
        async with asyncio.timeout(_DEADLINE_S):
            await self._call("POST", "/networks/create", {"Name": _network(0)})
            await self._start("load-0")  # with which the engine's sidecars come
            await self._remove("load-0")
            await self._call("DELETE", f"/networks/{_network(0)}")
            before = self._usage("before")
            names = [f"load-{number}" for number in range(self.size.containers)]
            networks = [_network(number) for number in range(0, len(names), _ON_A_NETWORK)]
            try:
                for network in networks:
                    await self._call("POST", "/networks/create", {"Name": network})
                with self._timed(f"{len(names)} containers started"):
                    await self._each(self._start, names)
                running = self._usage("they run")
                await self._clients(names)
                await self._connects()
                await self._followers(names)
                await self._settles("followers gone", descriptors=running)
            finally:
                with self._timed(f"{len(names)} containers removed"):
                    await self._each(self._remove, names)
                    for network in networks:
                        await self._call("DELETE", f"/networks/{network}", gone=True)
            await self._settles("after", descriptors=before)

    # --- what is done at once ------------------------------------------------------------------

    async def _clients(self, names: list[str]) -> None:
        seconds: list[float] = []

        async def client(number: int) -> None:
            for name in islice(cycle(names), number, number + self.size.calls):
                for path in ("/json", "/logs?stdout=1", "/stats?stream=0&one-shot=1"):
                    seconds.append(await self._took("GET", f"/containers/{name}{path}"))
            seconds.append(await self._took("GET", "/containers/json"))

        with self._timed(f"{self.size.clients} clients at once"):
            await asyncio.gather(*(client(number) for number in range(self.size.clients)))
        seconds.sort()
        median_ms, longest_ms = 1000 * seconds[len(seconds) // 2], 1000 * seconds[-1]
        self.tell(f"  {len(seconds)} calls: median {median_ms:.0f} ms, longest {longest_ms:.0f} ms")

    async def _connects(self) -> None:
        """All are there before the first asks for anything."""
        there = asyncio.Barrier(self.size.connects)

        async def connect() -> None:
            reader, writer = await asyncio.open_unix_connection(self.socket)
            await there.wait()
            writer.write(head("GET", "/_ping", "Connection: close\r\n"))
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
            await close(writer)

        with self._timed(f"{self.size.connects} connects at once"):
            await asyncio.gather(*(connect() for _ in range(self.size.connects)))

    async def _followers(self, names: list[str]) -> None:
        """Each follower of a log sees ticks, and each of events the end of each that ends."""
        ending = names[: self.size.ends]
        writing = names[self.size.ends :][: self.size.log_followers]
        watched = list(islice(cycle(writing), self.size.log_followers))
        listening = asyncio.Barrier(len(watched) + self.size.event_followers + 1)

        async def follow_log(name: str) -> None:
            path = f"/containers/{name}/logs?follow=1&stdout=1&tail=0"
            async with self._streamed(path) as reader:
                await listening.wait()
                seen = b""
                while seen.count(b"tick\n") < _TICKS:
                    data = await reader.read(1 << 16)
                    assert data, f"{name}: its log ended"
                    seen += data

        async def follow_events() -> None:
            wanted = {(name, action) for name in ending for action in ("die", "stop", "start")}
            query = json.dumps({"container": ending}, separators=(",", ":"))
            path = "/events?filters=" + query.replace('"', "%22")
            async with self._streamed(path) as reader:
                await listening.wait()
                while wanted:
                    line = await reader.readline()
                    assert line, f"events ended, and these were not seen: {wanted}"
                    if line.startswith(b"{"):
                        event = json.loads(line)
                        wanted.discard((event["Actor"]["Attributes"]["name"], event["Action"]))

        async def change() -> None:
            await listening.wait()
            await self._each(self._restart, ending)

        what = f"{len(watched)} followers of logs and {self.size.event_followers} of events"
        with self._timed(what):
            await asyncio.gather(
                change(),
                *(follow_log(name) for name in watched),
                *(follow_events() for _ in range(self.size.event_followers)),
            )

    # --- single containers ---------------------------------------------------------------------

    async def _start(self, name: str) -> None:
        """Those that are followed write; of the others there may be many, and they sleep."""
        number = int(name.rpartition("-")[2])
        is_followed = number < self.size.ends + self.size.log_followers
        body = {
            "Image": self.image,
            "Cmd": ["sh", "-c", _SCRIPT] if is_followed else ["sleep", "100000"],
            "StopSignal": "SIGKILL",
            "HostConfig": {
                "NetworkMode": _network(number),
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}]},
            },
        }
        await self._call("POST", f"/containers/create?name={name}", body)
        await self._call("POST", f"/containers/{name}/start")

    async def _restart(self, name: str) -> None:
        await self._call("POST", f"/containers/{name}/stop?t=0")
        await self._call("POST", f"/containers/{name}/start")

    async def _remove(self, name: str) -> None:
        await self._call("DELETE", f"/containers/{name}?force=1&v=1", gone=True)

    async def _each(self, act: Callable[[str], Awaitable[None]], names: list[str]) -> None:
        room = asyncio.Semaphore(_STARTS_AT_ONCE)

        async def one(name: str) -> None:
            async with room:
                await act(name)

        await asyncio.gather(*(one(name) for name in names))

    # --- calls ---------------------------------------------------------------------------------

    async def _took(self, method: str, path: str) -> float:
        began = time.monotonic()
        await self._call(method, path)
        return time.monotonic() - began

    async def _call(
        self, method: str, path: str, body: object = None, *, gone: bool = False
    ) -> bytes:
        """gone: that there is no such thing is as well."""
        return await Calls(self.socket).call(method, path, body, well=(404,) if gone else ())

    def _streamed(self, path: str) -> AbstractAsyncContextManager[asyncio.StreamReader]:
        return Calls(self.socket).streamed(path)

    # --- figures -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._usage(f"{what}: {time.monotonic() - began:.1f} s")

    def _usage(self, what: str) -> int:
        """The daemon's open descriptors."""
        descriptors, kb = self._descriptors(), self._kb()
        self.tell(f"{what}; daemon: {descriptors} descriptors, {kb / 1024:.0f} MB")
        return descriptors

    def _descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def _kb(self) -> int:
        found: Any = _KB.search(Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1])

    async def _settles(self, what: str, *, descriptors: int) -> None:
        """Until the daemon has no more descriptors than this; its own few come and go."""
        deadline = time.monotonic() + _SETTLES_S
        while self._descriptors() > descriptors + 2 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        left = self._usage(what)
        assert left <= descriptors + 2, f"{what}: {left} descriptors, and before {descriptors}"


def _network(number: int) -> str:
    """Of the container of this number."""
    return f"load-network-{number // _ON_A_NETWORK}"
