"""Thousands of one kind: containers, networks, ports, followers of logs, execs, clients.

Each is made step by step, with the daemon killed on the way, again once all are there, and again
while they are removed. What the engine refuses is counted by what it says, and it has to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine_calls import Calls, Refused, close
from killed_daemon import kill_daemon

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running
from stackr.runtime.engine.lock import holder

__all__ = ["KINDS", "STEPS", "Scale"]

STEPS: Final = (128, 512, 1024, 4096)
_AT_ONCE: Final = 8
_ON_A_BRIDGE: Final = 1000
_HOSTS: Final = 8
"""Containers whose logs are followed, and that have the execs."""
_PORTS_EACH: Final = 64
_FIRST_PORT: Final = 20000
_ALL_S: Final = 300.0
_SIZE: Final = re.compile(r"^(VmRSS|Threads):\s+(\d+)", re.MULTILINE)
_LOST: Final = (OSError, asyncio.IncompleteReadError)
_NUMBERS: Final = re.compile(r"[0-9a-f]{12,}|\d+")


@dataclass
class Kind:
    """What there may be many of. make, drop: what is there, or gone, already is well."""

    calls: Calls
    image: str
    survives = True
    """A daemon's end, or else they are made anew."""

    async def prepare(self, count: int) -> None: ...

    async def make(self, number: int) -> None:
        raise NotImplementedError

    async def drop(self, number: int) -> None:
        raise NotImplementedError

    async def check(self, numbers: list[int]) -> None:
        """That those are there and do what they should."""

    async def clear(self) -> None: ...

    async def run(self, name: str, command: list[str], **host: object) -> None:
        body = {
            "Image": self.image,
            "Cmd": command,
            "StopSignal": "SIGKILL",
            "HostConfig": {"NetworkMode": "none", **host},
        }
        await self.calls.call("POST", f"/containers/create?name={name}", body, well=(409,))
        await self.calls.call("POST", f"/containers/{name}/start", well=(304,))

    async def remove(self, name: str) -> None:
        await self.calls.call("DELETE", f"/containers/{name}?force=1&v=1", well=(404, 409))

    async def network(self, name: str) -> None:
        await self.calls.call("POST", "/networks/create", {"Name": name}, well=(409,))

    async def running(self) -> int:
        answer = await self.calls.call("GET", "/containers/json")
        return len(json.loads(answer.partition(b"\r\n\r\n")[2]))


class Containers(Kind):
    async def prepare(self, count: int) -> None:
        for number in range(0, count, _ON_A_BRIDGE):
            await self.network(f"many-{number // _ON_A_BRIDGE}")

    async def make(self, number: int) -> None:
        network = f"many-{number // _ON_A_BRIDGE}"
        await self.run(f"many-{number}", ["sleep", "1000000"], NetworkMode=network)

    async def drop(self, number: int) -> None:
        await self.remove(f"many-{number}")

    async def check(self, numbers: list[int]) -> None:
        assert (found := await self.running()) == len(numbers), (found, len(numbers))

    async def clear(self) -> None:
        await self.calls.call("POST", "/networks/prune")


class Networks(Kind):
    async def make(self, number: int) -> None:
        await self.network(f"many-{number}")

    async def drop(self, number: int) -> None:
        await self.calls.call("DELETE", f"/networks/many-{number}", well=(404,))

    async def check(self, numbers: list[int]) -> None:
        answer = await self.calls.call("GET", "/networks")
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        found = [network for network in found if network["Name"].startswith("many-")]
        assert len(found) == len(numbers), (len(found), len(numbers))


class Ports(Kind):
    """Each number is a container's `_PORTS_EACH` ports."""

    async def prepare(self, count: int) -> None:
        await self.network("many")

    async def make(self, number: int) -> None:
        if number % _PORTS_EACH:
            return
        first = _FIRST_PORT + number
        ports = {
            f"{port}/tcp": [{"HostPort": str(port)}] for port in range(first, first + _PORTS_EACH)
        }
        await self.run(
            f"many-{number}", ["sleep", "1000000"], NetworkMode="many", PortBindings=ports
        )

    async def drop(self, number: int) -> None:
        if number % _PORTS_EACH == 0:
            await self.remove(f"many-{number}")

    async def clear(self) -> None:
        await self.calls.call("POST", "/networks/prune")


class Range(Kind):
    """Each step is one container with so many ports, beside those before."""

    async def prepare(self, count: int) -> None:
        await self.network("many")

    async def make(self, number: int) -> None:
        if number + 1 not in STEPS:
            return
        first = _FIRST_PORT + number
        ports = {
            f"{port}/tcp": [{"HostPort": str(port)}] for port in range(first, first + number + 1)
        }
        await self.run(f"many-{number}", ["sleep", "10000"], NetworkMode="many", PortBindings=ports)

    async def drop(self, number: int) -> None:
        if number + 1 in STEPS:
            await self.remove(f"many-{number}")

    async def clear(self) -> None:
        await self.calls.call("POST", "/networks/prune")


class _Held(Kind):
    """What lasts as long as a client's call."""

    survives = False

    def __init__(self, calls: Calls, image: str) -> None:
        super().__init__(calls, image)
        self.held: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def prepare(self, count: int) -> None:
        tick = "while :; do echo tick; sleep 5; done"
        for number in range(_HOSTS):
            await self.run(f"host-{number}", ["sh", "-c", tick])

    async def drop(self, number: int) -> None:
        if number in self.held:
            await close(self.held.pop(number)[1])

    async def clear(self) -> None:
        for number in range(_HOSTS):
            await self.remove(f"host-{number}")


class Followers(_Held):
    async def make(self, number: int) -> None:
        path = f"/containers/host-{number % _HOSTS}/logs?follow=1&stdout=1&tail=0"
        self.held[number] = await self.calls.opened("GET", path)

    async def check(self, numbers: list[int]) -> None:
        async def see(number: int) -> None:
            reader, _ = self.held[number]
            while b"tick" not in await reader.read(1 << 12):
                assert not reader.at_eof(), f"follower {number} has ended"

        async with asyncio.timeout(_ALL_S):
            await asyncio.gather(*(see(number) for number in numbers))


class Execs(_Held):
    async def make(self, number: int) -> None:
        body = {"Cmd": ["sleep", "1000000"], "AttachStdout": True, "AttachStderr": True}
        path = f"/containers/host-{number % _HOSTS}/exec"
        answer = await self.calls.call("POST", path, body)
        id = json.loads(answer.partition(b"\r\n\r\n")[2])["Id"]
        self.held[number] = await self.calls.opened("POST", f"/exec/{id}/start", {"Detach": False})


class Clients(_Held):
    """Each waits for events, and sees one."""

    async def make(self, number: int) -> None:
        self.held[number] = await self.calls.opened("GET", "/events")

    async def check(self, numbers: list[int]) -> None:
        async def see(number: int) -> None:
            assert await self.held[number][0].read(1 << 12), f"client {number} was left"

        await self.calls.call("POST", "/containers/host-0/restart?t=0")
        async with asyncio.timeout(_ALL_S):
            await asyncio.gather(*(see(number) for number in numbers))


class Idle(_Held):
    """Connections that asked once and are kept."""

    async def make(self, number: int) -> None:
        self.held[number] = await self.calls.opened("GET", "/_ping")


KINDS: Final[dict[str, type[Kind]]] = {
    "containers": Containers,
    "networks": Networks,
    "ports": Ports,
    "range": Range,
    "followers": Followers,
    "execs": Execs,
    "clients": Clients,
    "idle": Idle,
}


@dataclass
class Scale:
    """tell: is told the figures, in lines. start: starts the daemon where none runs."""

    config: EngineConfig
    kind: Kind
    steps: tuple[int, ...]
    tell: Callable[[str], object]
    start: Callable[[EngineConfig], None] = ensure_running
    there: set[int] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Raises AssertionError, TimeoutError, or OSError where something is lost."""
        await self.kind.prepare(self.steps[-1])
        try:
            await self._run()
        finally:
            await self.kind.clear()
        self._usage("after")

    async def _run(self) -> None:
        self._usage("before")
        for before, count in zip((0, *self.steps), self.steps, strict=False):
            if count == self.steps[-1]:
                await self._interrupted(self._make, range(before, before + (count - before) // 2))
            await self._timed(f"{count} made", self._make, range(count))
        await self._restarted("killed with all there")
        if not self.kind.survives:
            self.there.clear()
            again = f"{self.steps[-1]} made again"
            await self._timed(again, self._make, range(self.steps[-1]))
        await self._interrupted(self._drop, sorted(self.there)[::2])
        await self._timed("all dropped", self._drop, range(self.steps[-1]))

    async def _make(self, number: int) -> None:
        if number in self.there:
            return
        try:
            await self.kind.make(number)
        except Refused as error:
            self.refused[f"{error.status} {_NUMBERS.sub('N', error.message)}"] += 1
        else:
            self.there.add(number)

    async def _drop(self, number: int) -> None:
        await self.kind.drop(number)
        self.there.discard(number)

    async def _interrupted(
        self, act: Callable[[int], Awaitable[None]], numbers: Iterable[int]
    ) -> None:
        """The daemon is killed in the middle of these; what was lost by it is not counted."""
        work = asyncio.create_task(self._each(act, numbers, patient=True))
        half = len(self.there) + (len(list(numbers)) // 2) * (1 if act == self._make else -1)
        while not work.done() and (len(self.there) < half) == (act == self._make):
            await asyncio.sleep(0.05)
        await self._restarted("killed in the middle")
        await work
        if not self.kind.survives:
            self.there.clear()

    async def _restarted(self, what: str) -> None:
        began = time.monotonic()
        await asyncio.to_thread(kill_daemon, self.config)
        await asyncio.to_thread(self.start, self.config)
        ready = time.monotonic() - began
        await self.kind.calls.call("GET", "/containers/json")
        self._usage(f"{what}: answers after {ready:.1f} s, lists after {self._since(began)} s")

    async def _timed(
        self, what: str, act: Callable[[int], Awaitable[None]], numbers: Iterable[int]
    ) -> None:
        began = time.monotonic()
        was = len(self.there)
        await self._each(act, numbers)
        seconds, changed = time.monotonic() - began, abs(len(self.there) - was)
        listing = time.monotonic()
        await self.kind.calls.call("GET", "/containers/json?all=1")
        took = f"{seconds:.1f} s, {1000 * seconds / max(changed, 1):.0f} ms each"
        self._usage(f"{what}: {len(self.there)} there, {took}; listed in {self._since(listing)} s")
        for message, count in self.refused.items():
            self.tell(f"    {count} times: {message}")
        self.refused.clear()
        await self.kind.check(sorted(self.there))

    async def _each(
        self,
        act: Callable[[int], Awaitable[None]],
        numbers: Iterable[int],
        *,
        patient: bool = False,
    ) -> None:
        """A few at once. patient: with a daemon that is gone."""
        left = iter(list(numbers))

        async def worker() -> None:
            for number in left:
                with contextlib.suppress(*(_LOST if patient else ())):
                    await act(number)

        await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))

    def _since(self, began: float) -> str:
        return f"{time.monotonic() - began:.1f}"

    def _usage(self, what: str) -> None:
        pid = holder(self.config.data_root)
        status = dict(_SIZE.findall(Path(f"/proc/{pid}/status").read_text()))
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        cpu = _cpu_s(Path(f"/proc/{pid}/stat").read_text())
        free = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
        self.tell(
            f"{time.strftime('%H:%M:%S')} {what}; daemon: {descriptors} descriptors, "
            f"{int(status['VmRSS']) >> 10} MB, {status['Threads']} threads, {cpu:.0f} s of CPU; "
            f"{int(free[1]) >> 20 if free else 0} GB free"
        )


def _cpu_s(stat: str) -> float:
    """Of a line of /proc/PID/stat."""
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100
