"""What the label of restarts for want of health asks for, and the waits between them."""

from __future__ import annotations

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.records.record import Container, UnhealthyRestarts
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.spec import Config, HostConfig
from stackr.runtime.engine.container.settings.unhealthy import (
    RESTART_UNHEALTHY_LABEL,
    RestartUnhealthy,
    parse_restart_unhealthy,
    restart_unhealthy,
)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("true", RestartUnhealthy()),
        ("false", None),
        ("", None),
        ("max_attempts=3", RestartUnhealthy(max_attempts=3)),
        ("window=1m30s,delay=500ms", RestartUnhealthy(5, 0.5, 90)),
        ("max_attempts=0,delay=1.5h,window=0s", RestartUnhealthy(0, 5400, 0)),
    ],
)
def test_what_the_label_asks_for(text: str, policy: RestartUnhealthy | None) -> None:
    assert parse_restart_unhealthy({RESTART_UNHEALTHY_LABEL: text}) == policy


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "True", "max_attempts", "max_attempts=-1", "max_attempts=\u0663", "delay=5"),
        *("delay=5s5", "delay=", "delay=1s,delay=2s", "retries=3", "delay=1s,", "delay=1e9s"),
        *("window=5d", "max_attempts=99999999999", "delay=1s delay=2s"),
    ],
)
def test_what_is_malformed_is_refused_with_its_name(text: str) -> None:
    labels = {RESTART_UNHEALTHY_LABEL: text}
    with pytest.raises(InvalidArgument, match=r"label io\.stackr\.restart_unhealthy: "):
        parse_restart_unhealthy(labels)
    assert restart_unhealthy(labels) is None


def test_each_wait_is_twice_the_one_before_up_to_ten_minutes() -> None:
    policy = RestartUnhealthy(delay_s=10)
    waits = [policy.least_uptime_s(attempts) for attempts in range(10)]
    assert waits == [0, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert RestartUnhealthy(delay_s=3600).least_uptime_s(99) == 3600


def test_the_limit() -> None:
    assert [RestartUnhealthy(2).is_used_up(n) for n in range(4)] == [False, False, True, True]
    assert not RestartUnhealthy(0).is_used_up(10**6)


def test_the_count_is_kept_and_older_records_have_none() -> None:
    container = Container(
        "c" * 64, "web", 1, "sha256:i", Config(), HostConfig(), {}, unhealthy_restarts=COUNTED
    )
    container.state.status = Status.RUNNING
    document = container.to_document()
    assert Container.from_document(document).unhealthy_restarts == COUNTED
    assert document.pop("unhealthy_restarts")["total"] == 7
    assert Container.from_document(document).unhealthy_restarts == UnhealthyRestarts()


COUNTED = UnhealthyRestarts(attempts=2, total=7, given_up=False, ending=True)
