"""Where a service of a cluster is: what its tasks say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackr.executor.convergence import Verdict, failed_tasks, judge
from stackr.runtime.workloads import TaskState, UpdateState, WorkloadStatus


def task(id: str, state: str, slot: int = 1, **changes: object) -> TaskState:
    wanted = "shutdown" if state in ("failed", "rejected", "shutdown", "complete") else "running"
    base = TaskState(id, "shop_web", slot=slot, node="n1", state=state, desired_state=wanted)
    return replace(base, **changes)  # type: ignore[arg-type]


def status(*tasks: TaskState, desired: int = 1, update: str = "", **more: object) -> WorkloadStatus:
    state = UpdateState(update, message="as it says" if update else "")
    base = WorkloadStatus("shop_web", desired=desired, update=state, tasks=tasks)
    return replace(base, **more)  # type: ignore[arg-type]


FAILED = [task(f"f{n}", "failed", error=f"exit {n}", at=n) for n in range(3)]
GONE = replace(FAILED[0], is_current=False)
OLD = task("o1", "running", is_current=False)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (status(), Verdict(text="0 of 1 running")),
        (status(desired=0), Verdict(True, text="0 of 0 running")),
        (status(task("a", "running")), Verdict(True, text="1 of 1 running", steady_s=0.5)),
        (status(task("a", "running"), desired=2), Verdict(text="1 of 2 running")),
        (status(task("a", "running"), update="updating"), Verdict(text="1 of 1 running")),
        (status(task("a", "running"), OLD), Verdict(text="1 of 1 running")),
        (status(OLD), Verdict(text="0 of 1 running")),
        (
            status(task("a", "complete")),
            Verdict(True, text="0 of 1 running, 1 completed", steady_s=0.5),
        ),
        (status(task("a", "complete"), task("b", "ready")), Verdict(text="0 of 1 running")),
        (
            status(*FAILED, task("n", "starting")),
            Verdict(error="it failed 3 times: shop_web.1 on n1: exit 2"),
        ),
        (status(*FAILED[:2], task("n", "starting")), Verdict(text="0 of 1 running")),
        (
            status(FAILED[1]),
            Verdict(error="it has ended: shop_web.1 on n1: exit 1", steady_s=1),
        ),
        (
            status(task("p", "pending", node="", error="no suitable node (1 node)")),
            Verdict(
                error="no node takes it: no suitable node (1 node)",
                text="no node takes it: no suitable node (1 node)",
                steady_s=10,
            ),
        ),
        (
            status(FAILED[0], OLD, update="paused"),
            Verdict(error="its update stopped: shop_web.1 on n1: exit 0"),
        ),
        (status(OLD, update="paused"), Verdict(error="its update stopped: as it says")),
        (status(OLD, update="rollback_started"), Verdict(text="rolling back")),
        (
            status(GONE, task("a", "running"), update="rollback_completed"),
            Verdict(
                error="the engine has rolled it back: shop_web.1 on n1: exit 0", is_taken_back=True
            ),
        ),
        (
            status(task("a", "complete"), is_job=True, completed=1),
            Verdict(True, text="1 of 1 completed"),
        ),
        (status(task("a", "running"), is_job=True), Verdict(text="0 of 1 completed")),
    ],
)  # fmt: skip
def test_what_tasks_say_of_their_service(seen: WorkloadStatus, expected: Verdict) -> None:
    assert judge(seen) == expected


def test_failures_of_before_are_not_counted_again() -> None:
    before = status(*FAILED, task("n", "starting"))
    assert judge(before, failed_tasks(before)) == Verdict(text="0 of 1 running")


def test_one_replica_that_fails_is_not_hidden_by_others() -> None:
    seen = status(task("a", "running", slot=2), *FAILED, task("n", "starting"), desired=2)
    assert judge(seen).error == "it failed 3 times: shop_web.1 on n1: exit 2"
