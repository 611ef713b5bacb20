"""What a build's steps write, in lines that a log can hold."""

from __future__ import annotations

import pytest

from stackr.cli.views.build import BuildLines, as_left
from stackr.runtime.image_build import BuildProgress


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("plain", "plain"),
        ("windows\r", "windows"),
        ("Reading ... 5%\rReading ... 100%\rReading done.", "Reading done."),
        ("\x1b[32mok\x1b[0m 3 tests\x1b[K", "ok 3 tests"),
    ],
)
def test_a_line_is_told_as_it_is_left(line: str, left: str) -> None:
    assert as_left(line) == left


def test_steps_are_told_so() -> None:
    lines = BuildLines("app")
    output = BuildProgress("output", stage="0", number=2, total=3, text="1%\r99%\rdone\n\x1b[1mb")
    assert list(lines.take(output)) == [" app [2/3] | done"]
