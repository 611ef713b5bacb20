"""Elements of nftables' sets as netlink messages, beside what nft itself sends."""

from __future__ import annotations

import struct

import pytest

from stackr.runtime.engine.linux.netlink_wire import HEADER, attributes, split
from stackr.runtime.engine.linux.nft_elements import ElementChange, SetType, element_messages

SETS = {
    "subnets": SetType(("ipv4_addr",), is_interval=True),
    "ports": SetType(("inet_proto", "inet_service"), ("ipv4_addr", "inet_service")),
    "bridges": SetType(("ifname",)),
}


def elements(verb: str, name: str, *texts: str) -> list[tuple[bytes, bytes, bytes]]:
    """Key, data and flags of each."""
    found = []
    for message in element_messages("t", SETS, [ElementChange(verb, name, texts)])[1:-1]:
        body = next(split(message))[3]
        run = attributes(body[4:])[3]
        while run:
            (length,) = struct.unpack_from("=H", run)
            item = attributes(run[4:length])
            key, data = (attributes(item.get(kind, b"")).get(1, b"") for kind in (1, 2))
            found.append((key, data, item.get(3, b"")))
            run = run[(length + 3) & ~3 :]
    return found


def test_a_subnet_is_where_it_begins_and_where_it_is_over() -> None:
    end = b"\0\0\0\1"
    assert elements("add", "subnets", "172.18.0.0/16") == [
        (bytes([172, 18, 0, 0]), b"", b""),
        (bytes([172, 19, 0, 0]), b"", end),
    ]
    assert len(elements("add", "subnets", "255.255.255.0/24")) == 1, "nothing is behind it"


def test_several_fields_fill_whole_words() -> None:
    key, data = b"\x06\0\0\0\x1f\x90\0\0", b"\x0a\0\0\5\0\x50\0\0"
    assert elements("add", "ports", "6 . 8080 : 10.0.0.5 . 80") == [(key, data, b"")]
    assert elements("delete", "bridges", '"sk-1"') == [(b"sk-1".ljust(16, b"\0"), b"", b"")]


def test_many_elements_are_several_messages_of_one_batch() -> None:
    texts = tuple(f"6 . {port} : 10.0.0.5 . 80" for port in range(1000))
    assert len(elements("add", "ports", *texts)) == 1000
    messages = element_messages("t", SETS, [ElementChange("add", "ports", texts)])
    assert len(messages) == 5
    assert [HEADER.unpack_from(m)[1] for m in (messages[0], messages[-1])] == [0x10, 0x11]


def test_what_is_no_element_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        elements("add", "ports", "6 : 10.0.0.5 . 80")
