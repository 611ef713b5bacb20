"""Text from outside can always be written as UTF-8, and nothing of it acts on a terminal."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.cli.views.output import paint
from stackr.text import decode, parse_json, unicode, visible, whole_number, without_colours

_ANY = st.text(st.characters(categories=None))


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"caf\xe9", "caf\ufffd"),
        (b"\xe2\x82", "\ufffd\ufffd"),  # Go replaces each byte, Python a part of a character
        (b"\xed\xa0\x80", "\ufffd" * 3),
        ("na\u00efve".encode(), "na\u00efve"),
    ],
)
def test_bytes_that_are_no_utf8_are_replaced_one_by_one(data: bytes, want: str) -> None:
    assert decode(data) == want


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b'{"a": "\\ud800"}', {"a": "\ufffd"}),
        (b'{"\\uDFFF": ["x\\ud800y"]}', {"\ufffd": ["x\ufffdy"]}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\xff"', "\ufffd"),
        (b'["\\\\ud800"]', ["\\ud800"]),
    ],
)
def test_json_holds_no_surrogate(data: bytes, want: object) -> None:
    assert parse_json(data) == want
    assert parse_json(data.decode("utf-8", "surrogateescape")) == want


@pytest.mark.parametrize(
    "data", [b"{", b"NaN", b'{"a": Infinity}', b"[" * 100_000, b"1" * 5000, b'\xef\xbb\xbf{"a":1}']
)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(data)


@given(_ANY)
def test_any_text_can_be_written(text: str) -> None:
    unicode(text).encode()
    visible(text).encode()
    assert parse_json(json.dumps(text)) == unicode(json.loads(json.dumps(text)))


@given(_ANY)
def test_nothing_but_colours_acts_on_a_terminal(text: str) -> None:
    shown = visible(
        f"\x1b[31m{text}\x1b[2J\x1b]0;title\x07\x9b1A\x1b[0m", one_line=True, colours="own"
    )
    rest = shown.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert shown.startswith("\x1b[31m")
    assert not set(rest) & set("\x07\x08\r\n\x9b\u202e")


@pytest.mark.parametrize("code", ["8", "30", "37", "41", "48;5;0", "38;5;0", "7", "31;8", "", "00"])
def test_others_colours_hide_nothing(code: str) -> None:
    text = f"a\x1b[31mb\x1b[{code}mc"
    assert visible(text, colours="own") == f"a\x1b[31mb\\u001b[{code}mc\x1b[0m"
    assert visible(text, colours="any") == text
    assert without_colours(text) == "abc"


def test_our_colours_are_among_those_that_are_kept() -> None:
    for styles in itertools.permutations(("bold", "dim", "underline", "red", "cyan"), 3):
        text = paint("x", *styles)
        assert visible(text, colours="own") == text


def test_what_is_shown_is_the_same_json() -> None:
    value = {"name": "\x9b2J\u202e\x7f"}
    assert json.loads(visible(json.dumps(value, ensure_ascii=False))) == value


def test_tabs_ends_of_lines_and_letters_stay() -> None:
    assert visible("± café\t日本\n") == "± café\t日本\n"
    assert visible("a\nb", one_line=True) == "a\\u000ab"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0", 0),
        ("007", 7),
        ("0" * 5000 + "8", 8),
        ("65535", 65535),
        *[(text, None) for text in ("65536", "9" * 5000, "", "-1", "+1", " 1", "1_0", "1.0")],
        *[(text, None) for text in ("\u0663", "\u00b2", "\ud800", "x")],
    ],
)
def test_a_whole_number_is_of_ascii_digits_and_bounded(text: str, want: int | None) -> None:
    assert whole_number(text, most=65535) == want
