"""In which order changes of the firewall come to the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from stackr.runtime.engine.linux.nftables import NftError
from stackr.runtime.engine.network.firewall import BridgeRules, Firewall
from stackr.runtime.engine.network.kernel import Kernel


class _Kernel(Kernel):
    """Without one: done is what it was asked for."""

    def __init__(self) -> None:
        super().__init__(Firewall("t"))
        self.done: list[str] = []
        self.refuses = False

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(SimpleNamespace(nftables=self), *args, **kwargs)

    def run(self, commands: str) -> str:
        if commands.startswith("add table"):
            self.done.append("anew")
        return ""

    def transact(self, messages: Sequence[bytes]) -> None:
        self.done.append(f"{len(messages) - 2} changes")
        if self.refuses:
            raise NftError("nftables: No such file or directory")


async def test_changes_that_are_made_meanwhile_are_one_transaction() -> None:
    kernel = _Kernel()
    await kernel.commit(kernel.firewall.add([BridgeRules("a")]))
    changes = [kernel.firewall.add([BridgeRules(name, icc=False)]) for name in "bcd"]
    await asyncio.gather(*map(kernel.commit, changes))
    await kernel.commit([])
    assert kernel.done == ["anew", "3 changes"]


async def test_a_table_that_is_not_as_it_was_is_made_anew() -> None:
    kernel = _Kernel()
    await kernel.commit(kernel.firewall.add([BridgeRules("a")]))
    kernel.refuses = True
    await kernel.commit(kernel.firewall.remove(["a"]))
    assert kernel.done == ["anew", "2 changes", "anew"]


async def test_what_is_to_be_made_anew_is_so_after_what_is_under_way() -> None:
    kernel = _Kernel()
    first = asyncio.create_task(kernel.commit(kernel.firewall.add([BridgeRules("a")])))
    while not kernel.done:
        await asyncio.sleep(0)
    await asyncio.gather(first, kernel.rebuild())
    assert kernel.done == ["anew", "anew"]
