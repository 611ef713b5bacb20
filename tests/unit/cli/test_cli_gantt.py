"""Where the time went: spans, phases, the longest chain, and the chart of them."""

from __future__ import annotations

import io
import json
import textwrap

import pytest

from stackr.cli.views.gantt import gantt_json, gantt_lines
from stackr.cli.views.output import Output
from stackr.errors import Conflict
from stackr.executor.events import Event, OperationFailed, OperationFinished, PlanStarted
from stackr.executor.profile import Phase, Profile, phase_of
from stackr.planner.plan.model import Action, Operation, Plan, Resource
from stackr.planner.plan.payloads import PullImage, StartContainer, WaitFor

WEB, DB = Resource("container", "demo-web-1", "web", 1), Resource("container", "demo-db-1", "db", 1)
PULL = Operation(1, Action.PULL_IMAGE, Resource("image", "app"), "missing", PullImage("app"))
CREATE = Operation(2, Action.CREATE_CONTAINER, DB, "new", StartContainer("db"), (1,))
START = Operation(3, Action.START_CONTAINER, DB, "created", StartContainer("db"), (2,))
READY = Operation(4, Action.WAIT_FOR, DB, "needed by web", WaitFor("db", "service_healthy"), (3,))
ASIDE = Operation(5, Action.START_CONTAINER, WEB, "created", StartContainer("web"), (1,))
LAST = Operation(6, Action.START_CONTAINER, WEB, "created", StartContainer("web"), (4, 5))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def profile(*events: Event) -> Profile:
    """One plan that begins half a second after the profile."""
    clock = Clock()
    made = Profile(clock)
    clock.now += 0.5
    ends = (OperationFinished, OperationFailed)
    operations = tuple(event.operation for event in events if isinstance(event, ends))
    made(PlanStarted(Plan("demo", operations=operations)))
    for event in events:
        made(event)
    return made


def ended(operation: Operation, start_s: float, end_s: float) -> OperationFinished:
    return OperationFinished(operation, end_s, end_s - start_s)


@pytest.fixture
def run() -> Profile:
    return profile(
        ended(PULL, 0, 1),
        ended(CREATE, 1, 1.1),
        ended(ASIDE, 1, 1.2),
        ended(START, 1.3, 1.5),
        ended(READY, 1.5, 3),
        ended(LAST, 3, 3.5),
    )


def test_the_longest_chain_is_what_the_end_waited_for(run: Profile) -> None:
    assert [span.operation.id for span in run.longest_chain()] == [1, 2, 3, 4, 6]
    assert [round(span.waited_s, 3) for span in run.longest_chain()] == [0, 0, 0.2, 0, 0]


def test_phases_that_overlap_count_once(run: Profile) -> None:
    phases = {phase.value: round(took, 3) for phase, took in run.phases().items()}
    assert phases.pop("build") == 0
    assert phases == {"pull": 1, "remove": 0, "create": 0.1, "start": 0.9, "ready": 1.5}
    assert (run.prepared_s, run.elapsed_s) == (0.5, 4.0)


def test_chart(run: Profile) -> None:
    lines = "\n".join(gantt_lines(run, Output(io.StringIO(), False, False)))
    assert lines == textwrap.dedent("""\
        profile: 4.00 s from left to right
        Image app            |       pppppppppppppp
        Container demo-db-1  |                     cc  sssrrrrrrrrrrrrrrrrrrrrrr
        Container demo-web-1 |                     sss                         ssssssss
        p pull 1.00 s   c create 100 ms   s start 900 ms   r ready 1.50 s   before: 500 ms
        longest chain: 3.30 s in 5 steps
            1.00 s  pull image app
            100 ms  create container demo-db-1
            200 ms  start container demo-db-1 after 200 ms of waiting
            1.50 s  wait for demo-db-1: needed by web
            500 ms  start container demo-web-1""")


def test_a_failed_operation_took_its_time_as_well() -> None:
    run = profile(ended(PULL, 0, 1), OperationFailed(CREATE, 1.25, 0.25, Conflict("taken")))
    assert run.longest_chain()[-1].took_s == 0.25


def test_several_plans_follow_one_another() -> None:
    clock = Clock()
    run = Profile(clock)
    for _ in range(2):
        run(PlanStarted(Plan("demo", operations=(PULL,))))
        run(ended(PULL, 0, 1))
        clock.now += 2
    assert [(span.start_s, span.end_s) for span in run.longest_chain()] == [(0, 1), (2, 3)]


def test_nothing_was_done() -> None:
    clock = Clock()
    run = Profile(clock)
    clock.now += 0.25
    [line] = gantt_lines(run, Output(io.StringIO(), False, False))
    assert line == "profile: nothing was done; 250 ms to find that"
    assert gantt_json(run)["longest_chain"] == []


def test_json(run: Profile) -> None:
    value = json.loads(json.dumps(gantt_json(run)))
    assert value["event"] == "profile"
    assert value["operations"][0] == {
        "id": 1,
        "action": "pull image",
        "resource": {"kind": "image", "name": "app"},
        "phase": "pull",
        "start_s": 0.5,
        "end_s": 1.5,
        "waited_s": 0,
    }
    assert [step["id"] for step in value["longest_chain"]] == [1, 2, 3, 4, 6]


def test_every_action_has_a_phase() -> None:
    assert phase_of(Action.CREATE_VOLUME) is Phase.CREATE
    assert {phase_of(action) for action in Action} == set(Phase)
