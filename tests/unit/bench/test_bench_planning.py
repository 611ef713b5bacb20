"""The benchmark of plans measures what it says."""

from __future__ import annotations

from bench import planning
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed
from stackr.planner.review.compare import imagined


def test_steps_and_what_they_plan() -> None:
    steps = dict(planning.measure((3,)))
    assert list(steps) == [
        "plan of 3 services",
        "plan of 3 services, nothing to do",
        "plan of 3 services, one changed",
    ]
    assert all(seconds > 0 for seconds in steps.values())
    wanted, changed = desired(planning.stack(30)), desired(planning.stack(30, changed=15))
    assert reconcile(wanted, Observed("bench")).summary["create"] == 31
    running = imagined(wanted, wanted)
    assert reconcile(wanted, running).is_empty
    assert reconcile(changed, running).summary == {"recreate": 1}
