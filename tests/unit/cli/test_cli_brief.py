"""Progress of a test off a terminal: a line for each service, and what fails."""

from __future__ import annotations

import io

from planning import needs, plan_for, service, stack

from stackr.cli.views.brief import BriefView
from stackr.cli.views.output import Output
from stackr.errors import Conflict
from stackr.executor.events import (
    OperationFailed,
    OperationFinished,
    OperationStarted,
    PlanFinished,
    PlanStarted,
)
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import Action
from stackr.planner.plan.options import UpOptions
from stackr.spec.model.deploy import Deploy


def test_a_line_for_each_service() -> None:
    stream = io.StringIO()
    view = BriefView(Output(stream, False, False))
    project = stack(
        {"web": service(deploy=Deploy(replicas=2), depends_on=needs("db")), "db": service()}
    )
    plan = plan_for(project, Observed("demo"), UpOptions(wait=True))
    view(PlanStarted(plan))
    for operation in plan.operations:
        view(OperationStarted(operation, 0.0))
        is_wait = operation.action is Action.WAIT_FOR
        view(OperationFinished(operation, 0.0, 0.0, "healthy" if is_wait else ""))
    last = plan.operations[-1]
    view(OperationFailed(last, 0.0, 0.0, Conflict("gone")))
    view(PlanFinished(0.0, 1, 0, 0, 0))
    view.warning("look")
    assert stream.getvalue().splitlines() == [
        " app  pulled in 0.0s",
        " db  healthy in 0.0s",
        " web ×2  healthy in 0.0s",
        f" Container {last.resource.name}  Error: gone",
        "warning: look",
    ]
