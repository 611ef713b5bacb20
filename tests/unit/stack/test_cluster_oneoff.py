"""How a one-off task of a cluster has ended, as `docker run` would tell it."""

from __future__ import annotations

import pytest

from stackr.errors import StackrError
from stackr.runtime.workloads import TaskState
from stackr.stack.workloads.oneoff import exit_code


def _task(state: str, error: str = "", code: int | None = None) -> TaskState:
    return TaskState("t", "shop_web-run-1", 1, "two", state=state, error=error, exit_code=code)


def test_a_program_that_ran_has_its_own_code() -> None:
    assert exit_code(_task("complete", code=0)) == 0
    assert exit_code(_task("failed", "task: non-zero exit (5)", 5)) == 5


@pytest.mark.parametrize(
    ("task", "code"),
    [
        (_task("failed", 'starting container failed: "x": executable file not found', 127), 127),
        (_task("failed", 'starting container failed: "/etc": permission denied', 0), 126),
        (_task("rejected", "No such image: none:latest"), 125),
    ],
)
def test_one_that_did_not_start_says_why_and_where(task: TaskState, code: int) -> None:
    with pytest.raises(StackrError, match=r"^on two: ") as told:
        exit_code(task)
    assert told.value.exit_code == code
