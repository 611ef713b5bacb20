"""What failed, told once; and where a test's environment answers."""

from __future__ import annotations

import io

import pytest

from stackr.cli.commands.test import address_lines
from stackr.cli.views.failure import cause_lines
from stackr.cli.views.output import Output
from stackr.planner.plan.model import Action, Operation, Resource
from stackr.planner.plan.payloads import Commit
from stackr.stack.failure import Cause
from stackr.stack.testenv.variables import Address, Member

PLAIN = Output(io.StringIO(), is_terminal=False, colour=False)
OPERATION = Operation(1, Action.WAIT_FOR, Resource("container", "web-1", "web", 1), "", Commit())


@pytest.mark.parametrize(
    ("message", "state", "more"),
    [
        ("container web-1 exited (3)", "exited with code 3", []),
        (
            "container web-1 exited (3)",
            "exited with code 137, out of memory",
            ["  container web-1: exited with code 137, out of memory"],
        ),
        ("no answer", "exited with code 3", ["  container web-1: exited with code 3"]),
    ],
)
def test_an_exit_is_told_once(message: str, state: str, more: list[str]) -> None:
    lines = list(cause_lines(Cause(OPERATION, "", message, None, state), PLAIN))
    assert lines == [f"stackr: {message}", *more]


def test_addresses_stand_below_each_other() -> None:
    db = Member("db", 1, ports=(Address(5432, "127.0.0.1", 20012),))
    dns = Member("dns", 1, ports=(Address(53, "127.0.0.1", 53, "udp"),))
    assert list(address_lines([db, dns, Member("web", 1)])) == [
        "  db:5432     127.0.0.1:20012",
        "  dns:53/udp  127.0.0.1:53",
    ]
