"""What the resolver says by itself: names and addresses on the asker's networks. Pure.

Malformed packets get no answer. A name of ours has no other records than A and AAAA: whoever asks
for those gets an empty answer, and nobody else is asked.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence

from stackr.runtime.engine.network.resolver import message
from stackr.runtime.engine.network.resolver.table import Container, NamedEndpoint, Names

__all__ = ["answer_locally"]

_TTL_S = 1  # a name may lead to another container at any time
_FAMILIES = {message.A: socket.AF_INET, message.AAAA: socket.AF_INET6}


def answer_locally(query: message.Query, names: Names, asker: Container) -> bytes | None:
    """A reply for a name or address of ours; None for anybody else's."""
    if not query.is_internet:
        return None
    if query.kind == message.PTR:
        return _answer_reverse(query, names, asker)
    found = names.lookup(asker.endpoints, query.name)
    if not found:
        return None
    records = sorted(_addresses(found, query.kind), key=lambda _: os.urandom(4))
    return message.reply(query, records, ttl_s=_TTL_S)


def _answer_reverse(query: message.Query, names: Names, asker: Container) -> bytes | None:
    address = _reversed_address(query.name)
    holder = names.reverse(asker.endpoints, address) if address else None
    if holder is None:
        return None
    try:
        record = (message.PTR, message.encoded_name(holder.full_name))
    except ValueError:
        return message.reply(query)  # ours, under a name that DNS cannot carry
    return message.reply(query, [record], ttl_s=_TTL_S)


def _addresses(endpoints: Sequence[NamedEndpoint], kind: int) -> Iterator[message.Record]:
    family = _FAMILIES.get(kind)
    if family is None:
        return
    for endpoint in endpoints:
        address = endpoint.ipv4 if kind == message.A else endpoint.ipv6
        if address:
            yield kind, socket.inet_pton(family, address)


def _reversed_address(name: str) -> str | None:
    """`4.3.2.1.in-addr.arpa` -> "1.2.3.4", and IPv6 alike."""
    lowered = name.lower()
    try:
        if lowered.endswith(".in-addr.arpa"):
            labels = lowered.removesuffix(".in-addr.arpa").split(".")
            return _canonical(socket.AF_INET, ".".join(reversed(labels)))
        if lowered.endswith(".ip6.arpa"):
            digits = "".join(reversed(lowered.removesuffix(".ip6.arpa").split(".")))
            groups = [digits[i : i + 4] for i in range(0, len(digits), 4)]
            return _canonical(socket.AF_INET6, ":".join(groups))
    except (OSError, ValueError):
        pass
    return None


def _canonical(family: int, address: str) -> str:
    return socket.inet_ntop(family, socket.inet_pton(family, address))
