"""The keys of an attached `up`: what each does, and how a service is chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from stackr.cli.menu import HINT, Menu


@dataclass
class Stack:
    """Keeps what the menu does."""

    did: list[str] = field(default_factory=list)

    async def watch(self) -> None:
        self.did.append("watch")

    async def restart(self, service: str) -> None:
        self.did.append(f"restart {service}")


async def typed(keys: str) -> AsyncIterator[str]:
    for key in keys:
        yield key


async def run(keys: str, services: Sequence[str] = ("api", "db", "web")) -> tuple[list[str], str]:
    stack, said = Stack(), list[str]()
    menu = Menu(
        said.append, services, lambda: stack.did.append("detach"), stack.watch, stack.restart
    )
    await menu.run(typed(keys))
    assert said[0] == HINT
    return stack.did, said[-1]


@pytest.mark.parametrize(
    ("keys", "did"),
    [
        ("", []),
        ("d", ["detach"]),
        ("dw", ["detach"]),
        ("wxw", ["watch", "watch"]),
        ("r2\r", ["restart db"]),
        ("rweb\n", ["restart web"]),
        ("ra\rw", ["restart api", "watch"]),
        ("rwrong\x7f\x7f\x7f\x7feb\r", ["restart web"]),
        ("rweb\x1bw", ["watch"]),
        ("r9\r", []),
        ("rw", []),
    ],
)
async def test_keys(keys: str, did: list[str]) -> None:
    assert (await run(keys))[0] == did


async def test_a_name_that_nobody_has_is_told() -> None:
    assert (await run("rnope\r"))[1] == "no such service: nope"


async def test_the_only_service_needs_no_name() -> None:
    assert (await run("r", ["web"]))[0] == ["restart web"]
