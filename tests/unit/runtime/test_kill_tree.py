"""A process and what it has started are killed, also what it starts meanwhile."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from polling import until

from stackr.runtime.engine.linux.process import kill_tree, start_ticks

_DEADLINE_S = 60.0
_FORKS_WHEN_TOLD = "read line; sleep 1000 & echo $!; wait"


def _until_ended(process: subprocess.Popen[str], among: Callable[[], list[int]]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while process.poll() is None:
        assert time.monotonic() < deadline
        kill_tree(process.pid, among)
        time.sleep(0.01)


def test_a_child_that_comes_between_the_look_and_the_kill_is_found() -> None:
    children: list[int] = []
    with subprocess.Popen(
        ["/bin/sh", "-c", _FORKS_WHEN_TOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def members() -> list[int]:
            seen = [process.pid, *children]
            if not children and process.stdin is not None and process.stdout is not None:
                process.stdin.write("fork\n")
                process.stdin.flush()
                children.append(int(process.stdout.readline()))
            return seen

        _until_ended(process, members)
    (child,) = children
    until(lambda: not start_ticks(child), "the end of the child")


def test_one_that_is_in_no_group_yet_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        kill_tree(process.pid, list)
        kill_tree(0, lambda: [process.pid])
        assert process.poll() is None
        _until_ended(process, lambda: [process.pid])  # type: ignore[arg-type]
