"""The queues of projects: first come first served, and a place can be given up at any time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from stackr.runtime.engine.project_locks import Holder, ProjectLocks


def who(pid: int) -> Holder:
    return Holder(pid, "root", "host")


async def test_first_come_first_served() -> None:
    locks = ProjectLocks()
    with ExitStack() as places:
        stacks = [places.enter_context(ExitStack()) for _ in range(3)]
        entries = [
            stack.enter_context(locks.entry("demo", who(pid)))
            for pid, stack in enumerate(stacks, start=1)
        ]
        assert [entry.turn.is_set() for entry in entries] == [True, False, False]
        assert locks.first("demo").holder.pid == 1
        stacks[0].close()
        assert [entry.turn.is_set() for entry in entries[1:]] == [True, False]
        stacks[1].close()
        assert locks.first("demo") is entries[2]
    with pytest.raises(KeyError):
        locks.first("demo")


async def test_who_waits_no_more_is_passed_over() -> None:
    locks = ProjectLocks()
    with locks.entry("demo", who(1)) as first:
        with locks.entry("demo", who(2)) as impatient:
            pass
        with locks.entry("demo", who(3)) as patient, locks.entry("other", who(4)) as other:
            assert other.turn.is_set()
            assert (first.turn.is_set(), patient.turn.is_set()) == (True, False)
        assert not impatient.turn.is_set()
