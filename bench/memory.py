"""What an engine's processes hold in memory: all of its daemons and monitors, not the containers.

A process belongs to an engine if its command line or environment names the engine's folder, or if
it descends from such a process; containers' own processes are in a process namespace of their own.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Memory", "measure", "program_of", "total"]

PROC = Path("/proc")
_MARK = "stackr-"


@dataclass(frozen=True, slots=True)
class Memory:
    """Sums over processes, in KiB.

    rss: counts a shared page once for each of its users; pss: once among them; private: pages that
    nobody else has, which is what would be free without the process.
    """

    processes: int
    rss_kib: int
    pss_kib: int
    private_kib: int


def measure(folder: Path) -> dict[str, Memory]:
    """The memory of the engine whose files are in `folder`, by program."""
    found: dict[str, list[Memory]] = defaultdict(list)
    for pid, command in _members(str(folder).encode()).items():
        found[program_of(command)].append(_rollup(pid))
    return {program: total(each) for program, each in found.items()}


def total(parts: Iterable[Memory]) -> Memory:
    """All of them together."""
    known = list(parts)
    return Memory(
        processes=sum(part.processes for part in known),
        rss_kib=sum(part.rss_kib for part in known),
        pss_kib=sum(part.pss_kib for part in known),
        private_kib=sum(part.private_kib for part in known),
    )


def program_of(command: Sequence[str]) -> str:
    """What a command line runs: a module of Python's by its name, stackr's small ones by mark."""
    for word, following in zip(command, [*command[1:], ""], strict=False):
        if word.startswith(_MARK):
            return word.removeprefix(_MARK)
        if word == "-m":
            return following
    return os.path.basename(command[0]) if command else ""


def _members(mark: bytes) -> dict[int, list[str]]:
    """The command lines of an engine's processes."""
    own_namespace = os.readlink("/proc/self/ns/pid")
    parents: dict[int, int] = {}
    commands: dict[int, bytes] = {}
    members: set[int] = set()
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if os.readlink(entry / "ns/pid") != own_namespace:
                continue
            pid = int(entry.name)
            parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            commands[pid] = (entry / "cmdline").read_bytes()
            if mark in commands[pid] + (entry / "environ").read_bytes():
                members.add(pid)
        except OSError:
            continue  # it has ended
    while grown := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= grown
    return {pid: commands.get(pid, b"").decode().split("\0")[:-1] for pid in sorted(members)}


def _rollup(pid: int) -> Memory:
    """Of one process; zeros if it has ended."""
    try:
        figures = _figures((PROC / str(pid) / "smaps_rollup").read_text())
    except OSError:
        figures = {}
    return Memory(
        processes=1,
        rss_kib=figures.get("Rss", 0),
        pss_kib=figures.get("Pss", 0),
        private_kib=figures.get("Private_Clean", 0) + figures.get("Private_Dirty", 0),
    )


def _figures(text: str) -> Mapping[str, int]:
    """The lines "Rss:  1234 kB" of a smaps_rollup, see proc(5)."""
    lines = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[-1:] == ["kB"]}
