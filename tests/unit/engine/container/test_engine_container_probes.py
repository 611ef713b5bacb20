"""Health checks: what a test means, when it is made, and what its results mean."""

from __future__ import annotations

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.health.probe import (
    CommandTest,
    FileTest,
    HttpTest,
    LogTest,
    TcpTest,
    Test,
    parse_test,
    unknown_test,
)
from stackr.runtime.engine.container.health.prober import Pace, apply
from stackr.runtime.engine.container.host import detect
from stackr.runtime.engine.container.life.checks import check_create
from stackr.runtime.engine.container.records.record import Health, Probe
from stackr.runtime.engine.container.settings.spec import Config, Healthcheck, HostConfig, LogConfig


def parsed(*test: str, **config: object) -> Test | None:
    healthcheck = Healthcheck(test=list(test))
    return parse_test(Config.model_validate({"healthcheck": healthcheck, **config}))


@pytest.mark.parametrize(
    ("test", "value"),
    [
        ([], None),
        (["NONE"], None),
        (["CMD", "a", "b c"], CommandTest(("a", "b c"))),
        (["CMD-SHELL", "a b"], CommandTest(("/bin/sh", "-c", "a b"))),
        (["TCP", "5432"], TcpTest(5432)),
        (["LOG", "ready( now)?$"], LogTest("ready( now)?$")),
        (["FILE", "/run//x/../ready"], FileTest("/run/ready")),
        (
            ["HTTP", "http://:8080/health?x=1"],
            HttpTest(False, "", 8080, "localhost:8080", "/health?x=1", ((200, 399),)),
        ),
        (
            ["HTTP", "https://localhost", "204,300-302"],
            HttpTest(True, "", 443, "localhost", "/", ((204, 204), (300, 302))),
        ),
        (
            ["HTTP", "http://[::1]:80/"],
            HttpTest(False, "::1", 80, "[::1]", "/", ((200, 399),)),
        ),
    ],
)
def test_each_form_has_its_meaning(test: list[str], value: Test | None) -> None:
    assert parsed(*test) == value


def test_a_test_of_no_known_kind_is_none() -> None:
    config = Config(healthcheck=Healthcheck(test=["curl", "x"]))
    assert parse_test(config) is None
    assert "Unknown healthcheck type 'curl' (expected 'CMD'" in unknown_test(config)
    assert unknown_test(Config(healthcheck=Healthcheck(test=["NONE"]))) == ""


def test_the_images_shell_runs_shell_commands() -> None:
    assert parsed("CMD-SHELL", "x", shell=["bash", "-ec"]) == CommandTest(("bash", "-ec", "x"))


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (["CMD"], "CMD: wrong number of arguments"),
        (["TCP"], "TCP: wrong number of arguments"),
        (["TCP", "0"], 'TCP: port "0": must be from 1 to 65535'),
        (["TCP", "65536"], "must be from 1 to 65535"),
        (["TCP", "٣"], "must be from 1 to 65535"),
        (["HTTP", "ftp://:80/"], "must read http://"),
        (["HTTP", "http://:0/"], "port must be from 1"),
        (["HTTP", "http://:99999/"], "port must be from 1"),
        (["HTTP", "http://u:p@:80/"], "must read http://"),
        (["HTTP", "http://:80/\r\nX: y"], "must read http://"),
        (["HTTP", "http://[::1"], "must read http://"),
        (["HTTP", "http://db:80/"], "the host must be empty"),
        (["HTTP", "http://:80/", "2xx"], 'statuses "2xx": must read like'),
        (["HTTP", "http://:80/", "399-200"], "must read like"),
        (["HTTP", "http://:80/", "200", "x"], "wrong number"),
        (["LOG", ""], "1 to 1000 characters"),
        (["LOG", "(a"], "not a regular expression: missing \\)"),
        (["LOG", "(?<=a)b"], "not a regular expression: invalid perl operator"),
        (["LOG", "(a{1000}){1000}"], "not a regular expression"),
        (["FILE", "run/ready"], "must be an absolute path"),
        (["FILE", "/a\0b"], "must be an absolute path"),
    ],
)
def test_a_malformed_test_is_told(test: list[str], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        parsed(*test)


def test_a_log_that_is_not_kept_cannot_be_probed() -> None:
    config = Config(healthcheck=Healthcheck(test=["LOG", "x"]))
    with pytest.raises(InvalidArgument, match="the container keeps no log"):
        check_create(config, HostConfig(log_config=LogConfig(type="none")), detect())


PACE = Pace.of(Healthcheck(test=["CMD", "x"]), in_engine=False)


def test_the_first_waits_are_short_and_grow_to_the_interval() -> None:
    waits = [PACE.wait_s(elapsed_s=elapsed, took_s=0) for elapsed in (0, 0.1, 1, 8, 80, 800)]
    assert waits == [0.05, 0.05, 0.125, 1, 10, 30]


def test_a_costly_probe_is_made_less_often() -> None:
    assert PACE.wait_s(elapsed_s=0, took_s=0.5) == 2


def test_the_start_interval_is_kept_in_the_start_period_alone() -> None:
    check = Healthcheck(test=["CMD"], start_period=60 * 10**9, start_interval=10**9)
    pace = Pace.of(check, in_engine=False)
    assert pace.wait_s(elapsed_s=40, took_s=0) == 1
    assert pace.wait_s(elapsed_s=80, took_s=0) == 10


def test_extra_failures_do_not_use_up_the_retries() -> None:
    """Three retries of 30 s are over after 90 s, however often it was probed until then."""
    health, counted = Health(), []
    for tenth in range(1000):
        elapsed_s = tenth / 10
        counts = PACE.counts(elapsed_s=elapsed_s, failed=health.failing_streak)
        before = health.failing_streak
        apply(health, Probe(0, 1, 1, ""), retries=3, counts=counts)
        if health.failing_streak > before:
            counted.append(elapsed_s)
        if health.status == "unhealthy":
            break
    assert counted == [30, 60, 90]
