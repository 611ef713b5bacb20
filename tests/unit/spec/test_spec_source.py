"""YAML text to values, as go-yaml reads it, within bounds."""

from __future__ import annotations

from typing import Any

import pytest

from stackr.spec.positions import Sources
from stackr.spec.source import MAX_DEPTH, MAX_NODES, BadSource, documents


def _value(text: str | bytes) -> Any:
    data = text.encode() if isinstance(text, str) else text
    (document,) = documents(data)
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("yes", "yes"),
        ("On", "On"),
        ("TRUE", True),
        ("~", None),
        ("", None),
        ("0777", 511),
        ("0o17", 15),
        ("08", 8.0),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".1_0", 0.1),
        ("1e400", "1e400"),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        (".inf", float("inf")),
        ("2020-01-02", "2020-01-02T00:00:00Z"),
        ("2020-1-2 3:4:5.60", "2020-01-02T03:04:05.6Z"),
        ("2020-13-01", "2020-13-01"),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ("!!float 3", 3.0),
        ("!!binary aGk=", "hi"),
        ("!own 1", "1"),
    ],
)
def test_scalars_mean_what_go_yaml_reads(text: str, value: Any) -> None:
    read = _value(f"x: {text}")["x"]
    assert read == value
    assert isinstance(read, type(value))


def test_merge_keys_fill_in_what_is_not_there() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 0}\nd: {x: 9, <<: *a}"
    assert _value(text)["c"] == {"x": 0, "y": 1, "z": 2}
    assert _value(text)["d"] == {"x": 9, "y": 1}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert _value('{"<<": {a: 1}}') == {"<<": {"a": 1}}
    assert _value("{!!str <<: {a: 1}}") == {"<<": {"a": 1}}
    assert _value("{!!merge <<: {a: 1}}") == {"a": 1}


def test_the_tag_that_says_nothing_is_ignored() -> None:
    assert _value("{a: ! 5, b: !, ! c: ! x, d: ! '5'}") == {"a": 5, "b": None, "c": "x", "d": "5"}


def test_aliases_share_nothing() -> None:
    value = _value("a: &a [1]\nb: *a")
    value["a"].append(2)
    assert value["b"] == [1]


def test_reset_and_override_leave_their_paths() -> None:
    (document,) = documents(b"a: {b: !reset [], c: !override [1], d: 2}")
    assert document.value == {"a": {"c": [1], "d": 2}}
    assert document.resets == (("a", "b"), ("a", "c"))


def test_override_inside_an_anchor_counts_where_it_is_used() -> None:
    (document,) = documents(b"x: &x {p: !override [1]}\ns: {w: {<<: *x}}")
    assert document.resets == (("x", "p"), ("s", "w", "p"))


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a:\n\tb: 1", "found character that cannot start any token: a tab, where YAML", 1, 0),
        ("a:\n  b: {c: d\n\n", "parsing a flow mapping that begins at line 2: did", 3, 0),
        ("a: 1\na: 2", 'mapping key "a" already defined at line 1', 1, 0),
        ("1: 2", "non-string key at top level: 1", 0, 0),
        ("a: {true: 2}", "non-string key in a mapping: true", 0, 4),
        ("? [a]\n: b", "cannot be a key", 0, 2),
        ("a: &a [*a]", "cycle", 0, 7),
        ("a: *b", "unknown anchor 'b'", 0, 3),
        ("a: {<<: 1}", "map merge requires", 0, 8),
        ('a: "\nb', "unexpected end of stream", 1, 1),
        ("a: !!int x", "cannot decode", 0, 3),
        ("!!int x: 1", "cannot decode", 0, 0),
        ("!!int 5: 1", "non-string key", 0, 0),
        ('a: ["\\\\/",\n "\u00e9\\/b"]', "found unknown escape character", 1, 1),
        ("%YAML 1.2\n---\na: b", "incompatible YAML document", 0, 0),
        ("x: &k f\na: {*k : 1, k: 2}", 'key "k" already defined at line 2', 1, 12),
        ("[" * (MAX_DEPTH + 1), f"deeper than {MAX_DEPTH} levels", 0, MAX_DEPTH),
    ],
)
def test_what_is_wrong_has_a_place(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(BadSource) as caught:
        _value(text)
    assert message in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)


def test_bytes_that_are_no_text_have_a_place() -> None:
    with pytest.raises(BadSource) as caught:
        _value(b"a: b\nc: \xff\n")
    assert "UTF-8" in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, 3)


def test_a_mark_within_the_text_is_a_letter() -> None:
    assert _value("\ufeffa: 1\nb: 'x\n\ufeffy'") == {"a": 1, "b": "x \ufeffy"}
    assert _value("a: 1\n\ufeffb: 2") == {"a": 1, "\ufeffb": 2}


def test_utf_16_is_read() -> None:
    assert _value("a: é".encode("utf-16")) == {"a": "é"}


def test_aliases_that_multiply_are_refused() -> None:
    rows = ["x0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    rows += [f"x{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(BadSource, match="aliases stand for more than"):
        _value("\n".join(rows))


def test_the_number_of_values_is_bounded() -> None:
    with pytest.raises(BadSource, match="more than"):
        _value("[" + "1," * MAX_NODES + "1]")


class TestPositions:
    TEXT = b"""\
x: &x
  image: i
services:
  web:
    <<: *x
    ports:
      - '80'
    networks: [n]
"""

    @pytest.fixture
    def sources(self) -> Sources:
        sources = Sources("/dir")
        sources.add("/dir/a.yaml", self.TEXT)
        return sources

    @pytest.mark.parametrize(
        ("path", "line", "column"),
        [
            (("services", "web", "ports", 0), 7, 9),
            (("services", "web", "image"), 2, 10),
            (("services", "web", "networks", "n"), 8, 16),
            (("services", "web", "ports", 4), 7, 7),
            (("nothing",), 1, 1),
        ],
    )
    def test_a_path_has_a_place(
        self, sources: Sources, path: tuple[str | int, ...], line: int, column: int
    ) -> None:
        assert sources.find(path) == ("/dir/a.yaml", line, column)

    def test_a_key_has_its_own(self, sources: Sources) -> None:
        assert sources.find(("services", "web"), at_key=True) == ("/dir/a.yaml", 4, 3)

    def test_the_snippet_marks_the_column(self, sources: Sources) -> None:
        place = sources.find(("services", "web", "ports", 0))
        assert place is not None
        assert sources.snippet(place) == "6 |     ports:\n7 |       - '80'\n  |         ^"
        assert str(sources.relative(place)) == "a.yaml:7:9"

    def test_a_long_line_is_cut_around_the_column(self) -> None:
        sources = Sources("/")
        sources.add("f", b"a: [" + b"1, " * 5000 + b"2]")
        place = sources.find(("a", 4000))
        assert place is not None
        assert all(len(row) < 140 for row in sources.snippet(place).splitlines())

    def test_an_extended_service_is_looked_for_in_its_base(self) -> None:
        sources = Sources("/")
        sources.add("base", b"services:\n  b:\n    image: i\n")
        sources.add("main", b"services:\n  s: {extends: {file: base, service: b}}\n")
        sources.layers.main = ("main",)
        sources.layers.extend("main", "s", "base", "b")
        assert sources.find(("services", "s", "image")) == ("base", 3, 12)
