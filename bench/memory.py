"""What an engine's processes hold in memory: all of its daemons and monitors, not the containers.

A process belongs to an engine if its command line or environment names the engine's folder, or if
it descends from such a process; containers' own processes are in a process namespace of their own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """Sums over an engine's processes; `pss_kib` counts each shared page once among its users."""

    processes: int
    rss_kib: int
    pss_kib: int


def measure(folder: Path) -> Memory:
    """The memory of the engine whose files are in `folder`."""
    members = _members(str(folder).encode())
    figures = [_rollup(pid) for pid in members]
    return Memory(
        processes=len(members),
        rss_kib=sum(rss for rss, _ in figures),
        pss_kib=sum(pss for _, pss in figures),
    )


def _members(mark: bytes) -> list[int]:
    own_namespace = os.readlink("/proc/self/ns/pid")
    parents: dict[int, int] = {}
    members: set[int] = set()
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if os.readlink(entry / "ns/pid") != own_namespace:
                continue
            pid = int(entry.name)
            parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if mark in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                members.add(pid)
        except OSError:
            continue  # it has ended
    while grown := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= grown
    return sorted(members)


def _rollup(pid: int) -> tuple[int, int]:
    """The resident and the proportional set size of a process, in KiB; zeros if it has ended."""
    figures = {"Rss": 0, "Pss": 0}
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in figures:
                figures[name] = int(value.split()[0])
    except OSError:
        return 0, 0
    return figures["Rss"], figures["Pss"]
