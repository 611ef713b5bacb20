"""A scenario that fails once costs nothing; one that fails twice costs its own figures alone."""

from __future__ import annotations

from bench.peers import BenchError
from bench.scenarios import attempt
from bench.work import Record


class _Flaky:
    def __init__(self, failures: int) -> None:
        self.failures = failures

    def __call__(self, record: Record) -> None:
        record("up", 1.0 if self.failures else 2.0)
        if self.failures:
            self.failures -= 1
            raise BenchError("docker compose down: exit code 1:\nnetwork has active endpoints")
        record("down", 3.0)


def _attempt(failures: int) -> tuple[list[tuple[str, float]], list[str]]:
    figures: list[tuple[str, float]] = []
    told = attempt(_Flaky(failures), lambda step, value: figures.append((step, value)))
    return figures, told


def test_a_scenario_is_tried_once_more_and_only_what_went_well_counts() -> None:
    figures, told = _attempt(1)
    assert figures == [("up", 2.0), ("down", 3.0)]
    assert told == ["docker compose down: exit code 1: network has active endpoints"]


def test_a_scenario_that_fails_twice_is_told_and_leaves_no_figure() -> None:
    figures, told = _attempt(2)
    assert figures == []
    assert len(told) == 2


def test_nothing_is_told_of_a_scenario_that_goes_well() -> None:
    assert _attempt(0) == ([("up", 2.0), ("down", 3.0)], [])
