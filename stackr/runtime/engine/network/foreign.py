"""Live beside a firewall that drops what it does not know: dockerd's, by iptables.

dockerd sets the policy of iptables' FORWARD chain to DROP, and no rule in another table can accept
what that drops. Where that is so, a chain of our own accepts what our bridges forward; our own
table has decided on it already. Rules of others stay as they are. iptables may stand on nf_tables
or on the older kernel interface (legacy), and both may be in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from stackr.runtime.engine.linux.command import CommandError, run
from stackr.runtime.engine.linux.nftables import NftError
from stackr.runtime.engine.network.kernel import Host, Kernel

__all__ = ["ForeignFirewall"]


@dataclass(frozen=True, slots=True)
class _Iptables:
    """One of iptables' forms. family: as nftables calls it."""

    program: str
    family: str


_NFT = (_Iptables("iptables-nft", "ip"), _Iptables("ip6tables-nft", "ip6"))
_LEGACY = (_Iptables("iptables-legacy", "ip"), _Iptables("ip6tables-legacy", "ip6"))


class ForeignFirewall:
    """Our chain in others' filter tables. name: of our own table, which the chain's follows."""

    def __init__(self, name: str) -> None:
        self._chain = name.upper()
        self._present: set[_Iptables] = set()
        self._lock = asyncio.Lock()

    async def find(self, kernel: Kernel) -> None:
        """Our chains that an earlier process left, so that they are kept up or withdrawn."""
        for form, rules in (await self._forward_rules(kernel)).items():
            if self._chain in rules:
                self._present.add(form)

    async def accept(self, kernel: Kernel, bridges: Collection[str]) -> None:
        """Where forwarding is dropped by policy, accept it for the bridges."""
        async with self._lock:
            for form, rules in (await self._forward_rules(kernel)).items():
                drops = "policy drop" in rules or "-P FORWARD DROP" in rules
                if drops or form in self._present:
                    await self._write(form, bridges, is_linked=self._chain in rules)

    async def withdraw(self, bridges: Collection[str]) -> None:
        """Accept for these alone; without any, the chain goes."""
        async with self._lock:
            for form in list(self._present):
                if bridges:
                    await self._write(form, bridges, is_linked=True)
                else:
                    await self._delete(form)

    async def _write(self, form: _Iptables, bridges: Collection[str], *, is_linked: bool) -> None:
        lines = ["*filter", f":{self._chain} - [0:0]"]
        for bridge in bridges:
            lines += [f"-A {self._chain} -{way} {bridge} -j ACCEPT" for way in "io"]
        if not is_linked:
            lines.append(f"-I FORWARD -j {self._chain}")
        self._present.add(form)
        await self._restore(form, [*lines, "COMMIT", ""])

    async def _delete(self, form: _Iptables) -> None:
        self._present.discard(form)
        try:
            await self._restore(
                form,
                [
                    "*filter",
                    f"-D FORWARD -j {self._chain}",
                    f"-F {self._chain}",
                    f"-X {self._chain}",
                    "COMMIT",
                    "",
                ],
            )
        except CommandError:
            return  # its owner has flushed the table, and our chain with it

    async def _restore(self, form: _Iptables, lines: Collection[str]) -> None:
        program = f"{form.program}-restore"
        await run([program, "--noflush", "--wait"], stdin="\n".join(lines).encode())

    async def _forward_rules(self, kernel: Kernel) -> dict[_Iptables, str]:
        """The FORWARD chain of each form of iptables that is in use, as text."""
        found = await kernel.call(_nft_forward_rules)
        for form in _LEGACY:
            if await kernel.call(_has_legacy_filter, form.family):
                try:
                    found[form] = await run([form.program, "-w", "-S", "FORWARD"])
                except CommandError:
                    continue  # tables without the program that made them
        return found


def _nft_forward_rules(host: Host) -> dict[_Iptables, str]:
    tables = host.nftables.run("list tables")
    found = {}
    for form in _NFT:
        if f"table {form.family} filter\n" in tables:
            try:
                found[form] = host.nftables.run(f"list chain {form.family} filter FORWARD")
            except NftError:
                continue  # a table of that name that is not iptables'
    return found


def _has_legacy_filter(_: Host, family: str) -> bool:
    try:
        with open(f"/proc/thread-self/net/{family}_tables_names") as names:
            return "filter" in names.read().split()
    except OSError:
        return False
