"""`x-stackr.probe` as a health check."""

from __future__ import annotations

from typing import Any

import pytest

from stackr.errors import InvalidArgument, NotSupported
from stackr.planner.probe import check_probes, probe_test
from stackr.runtime.container import Healthcheck
from stackr.runtime.types import Capabilities
from stackr.spec.model.service import Healthcheck as ServiceHealthcheck


@pytest.mark.parametrize(
    ("values", "test"),
    [
        ({"tcp": 5432}, ("TCP", "5432")),
        ({"http": "http://:8080/health"}, ("HTTP", "http://:8080/health")),
        ({"http": "https://:1/", "status": "204"}, ("HTTP", "https://:1/", "204")),
        ({"log": "ready to accept"}, ("LOG", "ready to accept")),
        ({"file": "/run/ready"}, ("FILE", "/run/ready")),
    ],
)
def test_each_kind_is_a_form_of_the_test(values: dict[str, Any], test: tuple[str, ...]) -> None:
    assert probe_test("db", **values) == Healthcheck(test=test)


def test_times_are_the_probes_then_the_health_checks() -> None:
    check = ServiceHealthcheck(interval=7, timeout=3, retries=9)
    probe = probe_test(
        "db", tcp=1, interval=1.5, start_period=2, start_interval=0.5, healthcheck=check
    )
    assert probe == Healthcheck(("TCP", "1"), 1.5, 3, 2, 0.5, 9)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "services.db.x-stackr.probe: needs one of tcp, http, log and file: has none"),
        ({"tcp": 1, "log": "x"}, "has tcp and log"),
        ({"tcp": 0}, "probe.tcp: 0: must be from 1 to 65535"),
        ({"tcp": 1, "status": "200"}, "probe.status: is for http alone"),
        ({"http": "localhost"}, 'probe.http: "localhost": must read http://:PORT/PATH'),
        ({"log": ""}, "probe.log: is empty"),
        ({"file": "run"}, 'probe.file: "run": must be an absolute path'),
        ({"tcp": 1, "start_interval": 1}, "start_interval requires start_period"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        probe_test("db", **values)
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("check", "key"),
    [
        (ServiceHealthcheck(test=("CMD", "x")), "test"),
        (ServiceHealthcheck(disable=True), "disable"),
    ],
)
def test_two_tests_are_refused_with_both_names(check: ServiceHealthcheck, key: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        probe_test("db", tcp=1, healthcheck=check)
    assert caught.value.message == (
        f"services.db.x-stackr.probe: cannot be together with services.db.healthcheck.{key}"
    )


def test_an_engine_without_probes_is_told_apart() -> None:
    check_probes(["db"], Capabilities(probes=True))
    check_probes([], Capabilities())
    with pytest.raises(NotSupported, match=r"services\.db\.x-stackr\.probe: not supported"):
        check_probes(["db"], Capabilities())
