"""What an engine holds in memory, without containers and with some."""

from __future__ import annotations

import time

from bench import memory, stacks
from bench.work import Record, Work

COUNT = 20
_SETTLE_S = 1.0


def held(work: Work, record: Record) -> None:
    """Of all of the engine's processes, of each program's, and what comes with each container."""
    without = memory.total(_record(work, 0, record).values())
    file = work.stack("memory", stacks.flat(COUNT, work.images.small))
    with work.down_on_failure(file):
        work.timed("up", file)
        by_program = _record(work, COUNT, record)
        work.timed("down", file)
    with_all = memory.total(by_program.values())
    for program, part in sorted(by_program.items()):
        record(f"memory, {COUNT} containers, {program}: proportional KiB", part.pss_kib)
    for kind, before, after in (
        ("resident", without.rss_kib, with_all.rss_kib),
        ("proportional", without.pss_kib, with_all.pss_kib),
        ("private", without.private_kib, with_all.private_kib),
    ):
        record(f"memory, each container: {kind} KiB", (after - before) / COUNT)


def _record(work: Work, containers: int, record: Record) -> dict[str, memory.Memory]:
    time.sleep(_SETTLE_S)
    by_program = memory.measure(work.peer.folder)
    found = memory.total(by_program.values())
    record(f"memory, {containers} containers: resident KiB", found.rss_kib)
    record(f"memory, {containers} containers: proportional KiB", found.pss_kib)
    record(f"memory, {containers} containers: private KiB", found.private_kib)
    record(f"memory, {containers} containers: processes", found.processes)
    return by_program
