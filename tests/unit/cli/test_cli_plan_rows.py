"""The rows of a plan while it runs, frame by frame, at three widths.

`STACKR_GOLDEN=write` writes the frames anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from planning import needs, plan_for, service, stack

from stackr.cli.views.live import label_width, render_row
from stackr.cli.views.plan_rows import PlanRows
from stackr.cli.views.rows import RowState
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import Action, Operation, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.compare import imagined
from stackr.spec.model.deploy import Deploy, UpdateConfig
from stackr.spec.model.service import Healthcheck

GOLDEN = Path(__file__).parent / "golden" / "rows"


def shop() -> Plan:
    checked = service(image="db:1", healthcheck=Healthcheck(test=("CMD", "true")))
    project = stack(
        {
            "web": service(image="web:1", depends_on=needs("auth")),
            "auth": service(image="web:1", depends_on=needs("db", condition="service_healthy")),
            "db": checked,
        }
    )
    return plan_for(project, Observed("demo"), UpOptions(wait=True))


class Screen:
    """A plan's rows, and what is done to them."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rows, self.now = plan, PlanRows(plan), 0.0

    def find(self, action: Action, name: str) -> Operation:
        found = (o for o in self.plan.operations if o.action is action)
        return next(o for o in found if name in o.resource.name)

    def begin(self, action: Action, name: str) -> Operation:
        operation = self.find(action, name)
        self.now += 0.5
        self.rows.begin(operation, self.now)
        return operation

    def do(self, action: Action, name: str, detail: str = "") -> None:
        operation = self.begin(action, name)
        self.now += 0.5
        self.rows.finish(operation, detail, self.now)

    def lines(self, width: int) -> list[str]:
        self.rows.refresh()
        every = self.rows.every()
        column = label_width(every, width)
        head = f"[+] demo: {self.rows.done}/{len(self.rows.by_key)}"
        drawn = [render_row(row, self.now, width=width, label_width=column) for row in every]
        return [head, *(line.plain.rstrip() for line in drawn)]


def frames(screen: Screen, width: int) -> list[list[str]]:
    """From the start to the end, at what is worth a look."""
    shown = [screen.lines(width)]
    pull = screen.begin(Action.PULL_IMAGE, "db:1")
    for layer, status, current in (
        ("aa", "Downloading", 20_000_000),
        ("bb", "Pulling fs layer", 0),
        ("bb", "Downloading", 10_000_000),
    ):
        screen.now += 1
        screen.rows.transfer(pull, layer, status, current, 40_000_000, screen.now)
    shown.append(screen.lines(width))
    for layer, status, current in (
        ("aa", "Pull complete", 0),
        ("bb", "Extracting", 4_000_000),
        ("bb", "Extracting", 14_000_000),
    ):
        screen.now += 1
        screen.rows.transfer(pull, layer, status, current, 40_000_000, screen.now)
    shown.append(screen.lines(width))
    screen.rows.finish(pull, "", screen.now)
    screen.do(Action.PULL_IMAGE, "web:1")
    screen.do(Action.CREATE_NETWORK, "default")
    for name in ("db", "auth", "web"):
        screen.do(Action.CREATE_CONTAINER, name)
    screen.do(Action.START_CONTAINER, "db")
    wait = screen.begin(Action.WAIT_FOR, "db")
    screen.rows.tell(wait, "starting")
    shown.append(screen.lines(width))
    for each in [o for o in screen.plan.operations if o.action is Action.WAIT_FOR]:
        if each.resource.service == "db":
            screen.rows.finish(each, "healthy", screen.now)
    screen.do(Action.START_CONTAINER, "auth")
    screen.rows.fail(screen.find(Action.START_CONTAINER, "web"), "Error", RowState.FAILED, 15.0)
    screen.rows.close(screen.now)
    shown.append(screen.lines(width))
    return shown


@pytest.mark.parametrize("width", [60, 80, 120])
def test_frames(width: int) -> None:
    shown = frames(Screen(shop()), width)
    text = "\n\n".join("\n".join(lines) for lines in shown) + "\n"
    path = GOLDEN / f"up-{width}.txt"
    if os.environ.get("STACKR_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert max(len(line) for lines in shown for line in lines) <= width


def test_the_counter_never_falls_and_a_tick_means_done() -> None:
    """Whatever a rolling update does to a container, its row is done with the last of it."""
    deploy = Deploy(replicas=3, update_config=UpdateConfig(order="start-first"))
    before = stack({"web": service(deploy=deploy)})
    after = stack({"web": service(deploy=deploy, user="root")})
    plan = plan_for(after, imagined(desired(before), desired(before)))
    rows = PlanRows(plan)
    counts = [rows.done]
    ticked: set[str] = set()
    for now, operation in enumerate(plan.operations):
        rows.begin(operation, now)
        for label in ticked:
            assert rows.get(label).state is RowState.DONE
        rows.finish(operation, "running" if operation.action is Action.WAIT_FOR else "", now)
        counts.append(rows.done)
        ticked = {label for label, row in rows.by_key.items() if row.state is RowState.DONE}
    assert counts == sorted(counts)
    assert counts[-1] == len(rows.by_key)
    assert {row.text for row in rows.by_key.values()} == {"Started", "Updated"}


def test_rows_are_in_the_order_of_dependencies() -> None:
    labels = [label for label in PlanRows(shop()).by_key if label.startswith("Container")]
    assert labels == ["Container demo-db-1", "Container demo-auth-1", "Container demo-web-1"]
