"""A plan and its events in each view: plain, JSON, live rows, and the plan's own text."""

from __future__ import annotations

import io
import json

from stackr.cli.views.json import JsonView, event_json
from stackr.cli.views.output import Output
from stackr.cli.views.plain import PlainView
from stackr.cli.views.plan import plan_lines, summary_text
from stackr.cli.views.quiet import QuietView
from stackr.cli.views.tty import TtyView
from stackr.errors import NotFound
from stackr.executor.events import (
    IN_USE,
    Event,
    OperationFailed,
    OperationFinished,
    OperationProgress,
    OperationSkipped,
    OperationStarted,
    PlanFinished,
    PlanStarted,
)
from stackr.planner.plan.model import (
    Action,
    Change,
    FieldChange,
    Kind,
    Operation,
    Origin,
    Plan,
    Resource,
)
from stackr.planner.plan.payloads import (
    CreateContainer,
    PullImage,
    RemoveNetwork,
    StartContainer,
    WaitFor,
)
from stackr.runtime.container import ContainerConfig

IMAGE = Resource("image", "nginx:1.27")
WEB = Resource("container", "demo-web-1", "web", 1)
PULL = Operation(1, Action.PULL_IMAGE, IMAGE, "not there", PullImage("nginx:1.27"))
CREATE = Operation(
    2,
    Action.CREATE_CONTAINER,
    WEB,
    "no existing container",
    CreateContainer("demo-web-1", ContainerConfig("nginx:1.27")),
    (1,),
)
START = Operation(3, Action.START_CONTAINER, WEB, "created", StartContainer("demo-web-1"), (2,))
WAIT = Operation(
    4, Action.WAIT_FOR, WEB, "asked", WaitFor("demo-web-1", "service_healthy", "web"), (3,)
)
PLAN = Plan(
    "demo",
    (PULL, CREATE, START, WAIT),
    (
        Change(IMAGE, Kind.PULL, "not on this engine"),
        Change(
            WEB,
            Kind.RECREATE,
            "its configuration changed",
            (
                FieldChange("environment.LOG_LEVEL", "info", "debug"),
                FieldChange("environment.PASSWORD", "••••", "••••", is_secret=True),
                FieldChange("labels.team", None, "core", forces_recreate=False),
                FieldChange("configs[0].content", "a\nb\n", "a\nc\n", note="by content"),
                FieldChange("networks.back", {"aliases": ["x"]}, None, origin=Origin.DRIFT),
            ),
            touched_by=("container:demo-db-1",),
        ),
    ),
    unchanged=3,
)
EVENTS: list[Event] = [
    PlanStarted(PLAN),
    OperationStarted(PULL, 0.0),
    OperationProgress(PULL, 0.1, "Downloading", "aa", 10, 100),
    OperationProgress(PULL, 0.2, "Pull complete", "aa"),
    OperationFinished(PULL, 0.3, 0.3),
    OperationStarted(CREATE, 0.3),
    OperationFinished(CREATE, 0.4, 0.1),
    OperationStarted(START, 0.4),
    OperationFailed(START, 0.5, 0.1, NotFound("no such command", hint="look")),
    OperationSkipped(WAIT, 0.5, (START,)),
    PlanFinished(0.5, 2, 1, 1, 0),
]


def test_plain_lines() -> None:
    stream = io.StringIO()
    view = PlainView(Output(stream, False, False))
    view.warning("orphans")
    for event in EVENTS:
        view(event)
    view(OperationStarted(WAIT, 0.6))
    view(OperationStarted(WAIT, 0.6))
    view(OperationFinished(WAIT, 0.7, 0.1))
    assert stream.getvalue().splitlines() == [
        "warning: orphans",
        " Image nginx:1.27  Pulling",
        " Image nginx:1.27  Pulled",
        " Container demo-web-1  Creating",
        " Container demo-web-1  Created",
        " Container demo-web-1  Starting",
        " Container demo-web-1  Error: no such command",
        " Container demo-web-1  Skipped",
        " Container demo-web-1  Waiting",
        " Container demo-web-1  Healthy",
    ]


def test_a_resource_that_others_use_is_not_called_removed() -> None:
    stream = io.StringIO()
    view = PlainView(Output(stream, False, False))
    network = Resource("network", "demo_default")
    removal = Operation(1, Action.REMOVE_NETWORK, network, "down", RemoveNetwork("demo_default"))
    view(OperationStarted(removal, 0.0))
    view(OperationFinished(removal, 0.1, 0.1, f"{IN_USE}: it has active endpoints"))
    assert stream.getvalue().splitlines() == [
        " Network demo_default  Removing",
        " Network demo_default  Resource is still in use",
    ]


def test_quiet_keeps_warnings_only() -> None:
    stream = io.StringIO()
    view = QuietView(Output(stream, False, False))
    for event in EVENTS:
        view(event)
    view.message("done")
    view.warning("orphans")
    assert stream.getvalue() == "warning: orphans\n"


def test_json_lines() -> None:
    stream = io.StringIO()
    view = JsonView(Output(stream, False, False))
    for event in EVENTS:
        view(event)
    view.log_output(Output(io.StringIO(), True, True)).line("web-1  | hello")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "plan_started",
        "operation_started",
        "operation_progress",
        "operation_progress",
        "operation_finished",
        "operation_started",
        "operation_finished",
        "operation_started",
        "operation_failed",
        "operation_skipped",
        "plan_finished",
        "log",
    ]
    assert lines[0]["plan"] == PLAN.to_json()
    assert lines[2] == {
        "event": "operation_progress",
        "at_s": 0.1,
        "id": 1,
        "action": "pull image",
        "resource": {"kind": "image", "name": "nginx:1.27"},
        "text": "Downloading",
        "layer": "aa",
        "current_bytes": 10,
        "total_bytes": 100,
    }
    assert lines[8]["error"] == "no such command"
    assert lines[8]["hint"] == "look"
    assert lines[9]["because"] == [3]
    assert lines[10] == event_json(EVENTS[-1])


def test_terminal_rows() -> None:
    stream = io.StringIO()
    view = TtyView(Output(stream, True, False))
    for event in EVENTS[:-1]:
        view(event)
    view.log_output(Output(stream, True, False)).line("web-1  | hello")
    view(EVENTS[-1])
    text = stream.getvalue()
    assert "web-1  | hello" in text
    last = text[text.rindex("[+] demo") :]
    assert "[+] demo: 1/2" in last
    assert "✔ Image nginx:1.27" in last
    assert "✘ Container demo-web-1 Error" in last
    view.message("after")
    assert stream.getvalue().endswith("after\n")


def test_the_text_of_a_plan() -> None:
    output = Output(io.StringIO(), False, False)
    assert list(plan_lines(PLAN, output)) == [
        "demo: 1 to recreate, 1 to pull, 3 unchanged",
        "",
        "↓ image nginx:1.27  pull: not on this engine",
        "",
        "± container demo-web-1  recreate: its configuration changed",
        "    because of container:demo-db-1",
        '    environment.LOG_LEVEL: "info" → "debug"  (forces recreate)',
        '    environment.PASSWORD: "••••" → "••••"  (forces recreate)',
        '    labels.team: (none) → "core"',
        "    configs[0].content:  (forces recreate; by content)",
        "      @@ -1,2 +1,2 @@",
        "       a",
        "      -b",
        "      +c",
        '    networks.back: {"aliases": ["x"]} → (none)  (drift, forces recreate)',
    ]


def test_the_text_of_a_plan_fits_a_terminal() -> None:
    output = Output(io.StringIO(), True, False)
    long = FieldChange("command", ["x" * 200], ["y"])
    plan = Plan("demo", (PULL, CREATE), (Change(WEB, Kind.RECREATE, "c" * 200, (long,)),))
    lines = list(plan_lines(plan, output))
    assert max(map(len, lines)) <= output.width
    shown = "".join("".join(lines).split())
    assert "c" * 200 in shown
    assert shown.replace('+["y"]', "").count("x") == 200
    assert '["y"]' in shown


def test_nothing_to_do() -> None:
    assert summary_text(Plan("demo", unchanged=6)) == "demo: no changes, 6 unchanged"
