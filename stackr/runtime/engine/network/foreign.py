"""Live beside a firewall that drops what it does not know: dockerd's, by iptables.

dockerd sets the policy of iptables' FORWARD chain to DROP, and no rule in another table can accept
what that drops. Where that is so, a chain of our own accepts what our bridges forward; our own
table has decided on it already. Rules of others stay as they are. iptables may stand on nf_tables
or on the older kernel interface (legacy), and both may be in use.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Collection, Iterable
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


_FAMILIES = {"ip": socket.AF_INET, "ip6": socket.AF_INET6}
_DROPS = 0  # NF_DROP
_NFT = (_Iptables("iptables-nft", "ip"), _Iptables("ip6tables-nft", "ip6"))
_LEGACY = (_Iptables("iptables-legacy", "ip"), _Iptables("ip6tables-legacy", "ip6"))


_ACCEPTED = re.compile(r'\b([io])ifname "([^"]+)"|(?:^| )-([io]) (\S+) ', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Rules:
    """forward: the chain FORWARD, own: ours, as nft or iptables print them; "" for none."""

    forward: str
    own: str

    @property
    def drops(self) -> bool:
        return "policy drop" in self.forward or "-P FORWARD DROP" in self.forward

    def accepts(self, bridges: Iterable[str]) -> bool:
        """Both ways."""
        wanted = {(way, bridge) for bridge in bridges for way in "io"}
        return wanted <= {
            (nft or plain, a or b) for nft, a, plain, b in _ACCEPTED.findall(self.own)
        }


class ForeignFirewall:
    """Our chain in others' filter tables. name: of our own table, which the chain's follows."""

    def __init__(self, name: str) -> None:
        self._chain = name.upper()
        self._present: set[_Iptables] = set()
        self._lock = asyncio.Lock()

    async def find(self, kernel: Kernel) -> None:
        """Our chains that an earlier process left, so that they are kept up or withdrawn."""
        for form, rules in (await self._rules(kernel, _NFT)).items():
            if self._chain in rules.forward or rules.own:
                self._present.add(form)

    async def accept(self, kernel: Kernel, bridges: Collection[str]) -> bool:
        """Where forwarding is dropped by policy, accept it for the bridges; returns whether.

        Nothing is written where it is so already.
        """
        if not bridges:
            return False
        async with self._lock:
            shut = await self._shut(kernel, bridges)
            for form, rules in shut.items():
                await self._write(form, bridges, is_linked=self._chain in rules.forward)
            return bool(shut)

    async def drops(self, kernel: Kernel, bridges: Collection[str]) -> list[str]:
        """The forms of iptables that drop what some of the bridges forward."""
        async with self._lock:
            shut = await self._shut(kernel, bridges)
            return [form.program for form, rules in shut.items() if rules.drops]

    async def _shut(self, kernel: Kernel, bridges: Collection[str]) -> dict[_Iptables, _Rules]:
        return {
            form: rules
            for form, rules in (await self._rules(kernel, self._present)).items()
            if (rules.drops or form in self._present)
            and not (self._chain in rules.forward and rules.accepts(bridges))
        }

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

    async def _rules(
        self, kernel: Kernel, present: Collection[_Iptables]
    ) -> dict[_Iptables, _Rules]:
        """What each form of iptables that is in use has, and drops by it or may have our chain.

        present: forms that may.
        """
        found, legacy = await kernel.call(_in_use, self._chain, present)
        for form in legacy:
            try:
                listing = await run([form.program, "-w", "-S"])
            except CommandError:
                continue  # tables without the program that made them
            lines = [line for line in listing.splitlines() if " FORWARD" in line]
            own = [line for line in listing.splitlines() if f"-A {self._chain} " in line]
            found[form] = _Rules("\n".join(lines), "\n".join(own))
        return found


def _in_use(
    host: Host, chain: str, present: Collection[_Iptables]
) -> tuple[dict[_Iptables, _Rules], list[_Iptables]]:
    """The rules of forms on nf_tables, and the older forms whose tables are there."""
    legacy = [form for form in _LEGACY if _has_legacy_filter(form.family)]
    return _nft_rules(host, chain, present), legacy


def _nft_rules(host: Host, chain: str, present: Collection[_Iptables]) -> dict[_Iptables, _Rules]:
    """A listing takes as long as there is much in the tables of all, so the policy comes first."""
    found = {}
    for form in _NFT:
        policy = host.nftables.policy(_FAMILIES[form.family], "filter", "FORWARD")
        if policy == _DROPS or (policy is not None and form in present):
            try:
                forward = host.nftables.look(f"list chain {form.family} filter FORWARD")
            except NftError:
                continue  # a table of that name that is not iptables'
            found[form] = _Rules(forward, _own_nft_rules(host, form.family, chain))
    return found


def _own_nft_rules(host: Host, family: str, chain: str) -> str:
    # Mostly there is none: the listing of all chains is kept, where a failure is tried again.
    try:
        if f"\tchain {chain} {{" in host.nftables.look(f"list chains {family}"):
            return host.nftables.look(f"list chain {family} filter {chain}")
    except NftError:
        pass  # it went this moment, or is another table's
    return ""


def _has_legacy_filter(family: str) -> bool:
    try:
        with open(f"/proc/thread-self/net/{family}_tables_names") as names:
            return "filter" in names.read().split()
    except OSError:
        return False
