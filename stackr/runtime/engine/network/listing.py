"""A table as nftables prints it, taken apart: its rules as text, and what its sets hold. Pure.

What a set holds comes in the order of its hash, and is compared as a set. `get element` is no way
to look for it: of two intervals that touch, as 172.18.0.0/16 and 172.19.0.0/16, it does not find
the second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network

__all__ = ["Elements", "Listing", "canonical"]

Elements = Mapping[str, frozenset[str]]
"""By the names of sets and maps; those that hold nothing are left out."""

_SET = re.compile(r"^\t(?:set|map) (\S+) \{\n(.*?)^\t\}\n", re.MULTILINE | re.DOTALL)
_HELD = re.compile(r"^\t\telements = \{ (.*?) \}\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listing:
    """rules: the table without its elements."""

    rules: str
    elements: Elements

    @classmethod
    def parse(cls, text: str) -> Listing:
        """text: of `list table`, protocols as numbers."""
        elements = {}
        for name, body in _SET.findall(text):
            held = _HELD.search(body)
            if held is not None:
                elements[name] = frozenset(map(canonical, held[1].split(",")))
        return cls(_HELD.sub("", text), elements)


def canonical(element: str) -> str:
    """A subnet may be printed as an address alone, and IPv6 in several ways."""
    element = element.strip()
    if '"' in element or " . " in element:
        return element  # the name of an interface, or several together
    with suppress(ValueError):
        return str(ip_network(element))
    return element
