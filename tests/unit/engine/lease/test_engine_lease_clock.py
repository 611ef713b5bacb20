"""A lease's time does not follow the wall clock."""

from __future__ import annotations

import time

import pytest

from stackr.runtime.engine.lease.clock import Deadline, deadline_of
from stackr.runtime.engine.linux import process

HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize("step_ns", [-48 * HOUR_NS, 0, 48 * HOUR_NS])
def test_a_step_of_the_wall_clock_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    deadline = Deadline.after(3600)
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + step_ns)
    kept = deadline_of(deadline, deadline.expires_ns)
    assert kept is not None
    assert 3000 < kept.left_s() <= 3600


def test_after_a_reboot_the_wall_clock_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline.after(3600)
    monkeypatch.setattr(process, "boot_id", lambda: "another")
    monkeypatch.setattr(process, "boottime_ns", lambda: 0)
    assert 3000 < deadline.left_s() <= 3600


def test_a_lease_of_an_older_engine() -> None:
    assert deadline_of(None, 0) is None
    deadline = deadline_of(None, time.time_ns() + HOUR_NS)
    assert deadline is not None
    assert 3000 < deadline.left_s() <= 3600
