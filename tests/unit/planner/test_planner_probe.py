"""`x-stackr.probe` as a health check."""

from __future__ import annotations

from typing import Any

import pytest
from planning import plan_for, service, stack

from stackr.errors import InvalidArgument, NotSupported
from stackr.planner.desired.probe import check_probes, probe_healthcheck, probe_of
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed
from stackr.runtime.container import Healthcheck
from stackr.runtime.types import Capabilities
from stackr.spec.model.service import Healthcheck as ServiceHealthcheck
from stackr.spec.model.service import Service


def probed(values: dict[str, Any], **attributes: Any) -> Service:
    return service(extensions={"x-stackr": {"probe": values}}, name="db", **attributes)


def check_of(made: Service) -> Healthcheck:
    probe = probe_of(made)
    assert probe is not None
    return probe_healthcheck(made, probe)


@pytest.mark.parametrize(
    ("values", "test"),
    [
        ({"tcp": 5432}, ("TCP", "5432")),
        ({"http": "http://:8080/health"}, ("HTTP", "http://:8080/health", "200-399")),
        (
            {"http": "https://:1/", "status": "204,300-302"},
            ("HTTP", "https://:1/", "204,300-302"),
        ),
        ({"log": "ready to accept"}, ("LOG", "ready to accept")),
        ({"file": "/run/ready"}, ("FILE", "/run/ready")),
    ],
)
def test_each_kind_is_a_form_of_the_test(values: dict[str, Any], test: tuple[str, ...]) -> None:
    assert check_of(probed(values)) == Healthcheck(test=test)


def test_times_are_the_probes_then_the_health_checks() -> None:
    check = ServiceHealthcheck(interval=7, timeout=3, retries=9)
    values = {"tcp": 1, "interval": "1500ms", "start_period": "2s", "start_interval": "500ms"}
    made = check_of(probed(values, healthcheck=check))
    assert made == Healthcheck(("TCP", "1"), 1.5, 3, 2, 0.5, 9)


def test_a_start_interval_needs_a_start_period() -> None:
    with pytest.raises(InvalidArgument, match="start_interval requires start_period"):
        check_of(probed({"tcp": 1, "start_interval": "1s"}))


def test_a_service_without_one() -> None:
    assert probe_of(service()) is None
    assert probe_of(service(extensions={"x-stackr": {"stateful": True}})) is None


def test_a_changed_probe_changes_what_containers_are_made_of() -> None:
    one, other = (
        desired(stack({"db": probed({"tcp": port})})).services["db"].hash for port in (1, 2)
    )
    assert one != other


def test_an_engine_that_cannot_make_it_is_told_apart_before_anything_is_done() -> None:
    project = stack({"db": probed({"tcp": 1})})
    with pytest.raises(NotSupported, match=r"services\.db\.x-stackr\.probe: not supported"):
        plan_for(project, Observed("demo"))
    assert plan_for(project, Observed("demo", engine=Capabilities(probes=True))).operations


def test_an_engine_without_probes_is_told_apart() -> None:
    check_probes(["db"], Capabilities(probes=True))
    check_probes([], Capabilities())
    with pytest.raises(NotSupported, match=r"services\.db\.x-stackr\.probe: not supported"):
        check_probes(["db"], Capabilities())
