"""The keys by which a terminal's user leaves."""

from __future__ import annotations

import pytest

from stackr.runtime.engine.container.io.detach import DEFAULT_KEYS, DetachKeys, parse_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", DEFAULT_KEYS),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-a,d", b"\x01d"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL", b"\0\x1b\x1c\x1d\x1e\x1f\x7f"),
    ],
)
def test_keys_are_named_as_in_docker(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-aa", "a,", "ab", "é"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown character"):
        parse_keys(text)


@pytest.mark.parametrize(
    ("keys", "typed", "passed", "found"),
    [
        (b"\x10\x11", [b"ls\n"], b"ls\n", False),
        (b"\x10\x11", [b"ls\n\x10\x11more"], b"ls\n", True),
        (b"\x10\x11", [b"a\x10", b"\x11"], b"a", True),
        (b"\x10\x11", [b"\x10", b"b"], b"\x10b", False),
        (b"\x10\x11", [b"\x10\x10", b"\x11"], b"\x10", True),
        (b"aab", [b"aa", b"ab"], b"a", True),
        (b"aabaac", [b"aabaabaac"], b"aab", True),
        (b"q", [b"xyq"], b"xy", True),
    ],
)
def test_what_is_typed_reaches_the_program_but_for_the_keys(
    keys: bytes, typed: list[bytes], passed: bytes, found: bool
) -> None:
    detach = DetachKeys(keys)
    assert b"".join(detach.feed(data) for data in typed) == passed
    assert detach.found is found
