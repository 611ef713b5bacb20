"""Reading a log goes on where it ended, also among lines of one time."""

from __future__ import annotations

from stackr.stack.log_position import LogPosition


def _read(position: LogPosition, times: list[int]) -> tuple[float | None, list[int]]:
    since = position.begin()
    return since, [index for index, time_ns in enumerate(times) if position.take(time_ns)]


def test_every_line_of_one_time_is_taken_once() -> None:
    position = LogPosition()
    assert _read(position, [5_000_000, 5_000_000]) == (None, [0, 1])
    since, taken = _read(position, [4_500_000, 5_000_000, 5_000_000, 5_000_000, 9_000_000])
    assert since == 0.004
    assert taken == [3, 4]
    assert _read(position, [9_000_000])[1] == []


def test_from_a_moment_on() -> None:
    assert _read(LogPosition(5_000_000), [4_999_999, 5_000_000]) == (0.005, [1])


def test_lines_without_a_time_are_new() -> None:
    position = LogPosition()
    assert _read(position, [0, 0])[1] == [0, 1]
    position = LogPosition(5)
    assert _read(position, [0, 0])[1] == [0, 1]


def test_a_clock_that_was_set_back_loses_nothing_of_one_reading() -> None:
    position = LogPosition()
    assert _read(position, [9, 5, 9])[1] == [0, 1, 2]
    assert _read(position, [9, 5, 9])[1] == []
