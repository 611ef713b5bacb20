"""What an engine holds in memory, without containers and with some."""

from __future__ import annotations

import time

from bench import memory, stacks
from bench.work import Record, Work

COUNT = 20
_SETTLE_S = 1.0


def held(work: Work, record: Record) -> None:
    """Of all of the engine's processes, and what of it comes with each container."""
    without = _record(work, 0, record)
    file = work.stack("memory", stacks.flat(COUNT, work.images.small))
    with work.down_on_failure(file):
        work.timed("up", file)
        with_all = _record(work, COUNT, record)
        work.timed("down", file)
    for kind, before, after in (
        ("resident", without.rss_kib, with_all.rss_kib),
        ("proportional", without.pss_kib, with_all.pss_kib),
    ):
        record(f"memory, each container: {kind} KiB", (after - before) / COUNT)


def _record(work: Work, containers: int, record: Record) -> memory.Memory:
    time.sleep(_SETTLE_S)
    found = memory.measure(work.peer.folder)
    record(f"memory, {containers} containers: resident KiB", found.rss_kib)
    record(f"memory, {containers} containers: proportional KiB", found.pss_kib)
    record(f"memory, {containers} containers: processes", found.processes)
    return found
