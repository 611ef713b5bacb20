"""YAML as it is written: quotes, blocks, the order of keys."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml import safe_load

from stackr.spec.key_order import all_in_order, in_order
from stackr.spec.source import documents
from stackr.spec.yaml_text import to_yaml


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", "a"),
        ("", '""'),
        ("yes", '"yes"'),
        ("8080", '"8080"'),
        ("22:22", '"22:22"'),
        ("1.2.3.4", "1.2.3.4"),
        ("0.0.0.0", "0.0.0.0"),
        ("08", '"08"'),
        (":8065", ":8065"),
        ("foo:", "'foo:'"),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("it's", "it's"),
        ("* * * * *", "'* * * * *'"),
        ("Host(`a.b`)", "Host(`a.b`)"),
        ("'a'", "'''a'''"),
        ("-a", "-a"),
        ("- a", "'- a'"),
        ("a\tb", '"a\\tb"'),
        ("\U0001f600", '"\\U0001F600"'),
        ("\u00e9", "\u00e9"),
        ("2020-01-01", '"2020-01-01"'),
        ("<<", '"<<"'),
        ("\ufeffab\n", '"\\uFEFF\\x61\\x62\\n"'),
        ("a\ufeffb", '"a\\uFEFFb"'),
        ("=", '"="'),
        ("<a>", "<a>"),
        ("a\nb", "|-\n    a\n    b"),
        ("a\nb\n", "|\n    a\n    b"),
        ("\na\n\n", "|2+\n\n    a\n"),
        ("a \nb", '"a \\nb"'),
        (1e6, "1e+06"),
        (0.5, "0.5"),
        (2.0, "2"),
        (True, "true"),
        (None, "null"),
        ([], "[]"),
        ({}, "{}"),
    ],
)
def test_a_value_is_written_as_go_yaml_does(value: Any, written: str) -> None:
    assert to_yaml({"x": {"k": value}}) == f"x:\n  k: {written}\n"


def test_lists_and_long_keys_begin_on_the_line_of_their_parent() -> None:
    tree = {"a": [{"b": 1, "c": [2]}, [3, [4]], [], {}], "k" * 129: {"d": 5}, "e\nf": [6]}
    assert to_yaml(tree) == (
        "a:\n  - b: 1\n    c:\n      - 2\n  - - 3\n    - - 4\n  - []\n  - {}\n"
        f"? {'k' * 129}\n: d: 5\n? |-\n  e\n  f\n: - 6\n"
    )


def test_yaml_is_quoted_where_another_reader_would_err() -> None:
    tree = {
        "a": ["yes", "22:22", "0777", "1e3", "", "x: y", "- a", "a #b", "\t", "null", "~", "="],
        "b": {"multi": "a\n  b\n\n", "lead": " a\nb", "none": None, "empty": [], "map": {}},
        "c": [{"d": 1.5, "e": 3.0, "f": True}, [1, [2]], "2020-01-01", "\u2028", "a\x00b", "<<"],
    }
    assert safe_load(to_yaml(tree)) == tree


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(min_size=1), _VALUES, min_size=1, max_size=3))
def test_what_is_written_is_read_back(tree: dict[str, Any]) -> None:
    (document,) = documents(to_yaml(tree).encode("utf-8", "replace"))
    assert document.value == tree


def test_keys_are_ordered_as_go_yaml_orders_them() -> None:
    wanted = [
        *("", "-", "1", "1a", "1-", "01", "2", "10", "A_B", "AB", "a", "a-b", "a1", "a2", "a10"),
        *("a10b", "a10-", "ab", "b", "s1", "s1b", "s1_", "s2", "s10", "x.y", "\u00e9"),
    ]
    shuffled = random.Random(1).sample(wanted, len(wanted))
    assert list(in_order(dict.fromkeys(shuffled))) == wanted
    assert list(all_in_order({"k": [dict.fromkeys(shuffled)]})["k"][0]) == wanted
