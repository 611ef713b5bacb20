"""Filters, times and ages, as they come in queries and go out in lists."""

from __future__ import annotations

import json
import time

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.durations import in_words
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.timestamp import parse_duration, parse_time, rfc3339

_KEYS = frozenset({"label", "label!", "name", "id", "dangling", "until"})


def _filters(**values: object) -> Filters:
    return Filters.parse(json.dumps(values), _KEYS)


@pytest.mark.parametrize("form", [{"name": {"web": True}}, {"name": ["web"]}])
def test_both_forms_are_read(form: dict[str, object]) -> None:
    filters = Filters.parse(json.dumps(form), _KEYS)
    assert filters.get("name") == ("web",)


def test_a_value_that_is_switched_off_does_not_count() -> None:
    assert "name" not in Filters.parse('{"name": {"web": false}}', _KEYS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "invalid filter"),
        ("[1]", "invalid filter"),
        ('{"name": 3}', "invalid filter"),
        ('{"name": [3]}', "invalid filter"),
        ('{"nmae": ["web"]}', "invalid filter 'nmae'"),
        ("[" * 5000, "invalid filter"),
    ],
)
def test_malformed_filters_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Filters.parse(text, _KEYS)
    assert caught.value.message == message


def test_names_match_as_regular_expressions_and_bad_ones_match_nothing() -> None:
    assert _filters(name=["^we"]).pattern("name", "web")
    assert not _filters(name=["^eb"]).pattern("name", "web")
    assert not _filters(name=["("]).pattern("name", "web")
    assert _filters().pattern("name", "web")


def test_every_label_must_be_there() -> None:
    labels = {"a": "1", "b": ""}
    assert _filters(label=["a=1", "b"]).labels(labels)
    assert not _filters(label=["a=1", "c"]).labels(labels)
    assert not _filters(label=["a=2"]).labels(labels)
    assert not _filters(**{"label!": ["a"]}).without_labels(labels)
    assert _filters(**{"label!": ["a=2"]}).without_labels(labels)


def test_an_id_matches_by_its_start() -> None:
    assert _filters(id=["abc"]).prefix("id", "abcdef")
    assert not _filters(id=["bc"]).prefix("id", "abcdef")


def test_booleans() -> None:
    assert _filters(dangling=["1"]).boolean("dangling", default=False)
    assert not _filters(dangling=["false"]).boolean("dangling", default=True)
    assert _filters().boolean("dangling", default=True)
    for values in (["maybe"], ["0", "1"]):
        with pytest.raises(InvalidArgument):
            _filters(dangling=values).boolean("dangling", default=False)


def test_until_is_an_age_or_a_time() -> None:
    assert _filters().until() is None
    assert _filters(until=["1715000000"]).until() == 1715000000 * 10**9
    age_ns = time.time_ns() - (_filters(until=["1h30m"]).until() or 0)
    assert 5399 * 10**9 < age_ns < 5500 * 10**9
    with pytest.raises(InvalidArgument, match="more than one until filter"):
        _filters(until=["1h", "2h"]).until()


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1715000000", 1715000000000000000),
        ("1715000000.5", 1715000000500000000),
        ("1715000000.000000001", 1715000000000000001),
        ("2024-05-06T12:53:20Z", 1715000000000000000),
        ("2024-05-06T14:53:20.25+02:00", 1715000000250000000),
        ("2024-05-06T12:53:20", 1715000000000000000),
        ("2024-05-06", 1714953600000000000),
    ],
)
def test_times(text: str, nanoseconds: int) -> None:
    assert parse_time(text, "since") == nanoseconds


@pytest.mark.parametrize("text", ["", "0"])
def test_no_time(text: str) -> None:
    assert parse_time(text, "since") is None


@pytest.mark.parametrize("text", ["yesterday", "12:30", "-5", "1" * 40, "2024-13-01"])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidArgument, match='invalid value for "since"'):
        parse_time(text, "since")


def test_times_are_written_as_go_writes_them() -> None:
    assert rfc3339(0) == "0001-01-01T00:00:00Z"
    assert rfc3339(1715000000000000000) == "2024-05-06T12:53:20Z"
    assert rfc3339(1715000000000000001) == "2024-05-06T12:53:20.000000001Z"


def test_ages() -> None:
    assert parse_duration("24h") == 86400 * 10**9
    assert parse_duration("1h2m3s") == 3723 * 10**9
    assert parse_duration("") is None
    assert parse_duration("10d") is None
    assert parse_duration("9" * 5000 + "h") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (180, "3 minutes"),
        (3600, "About an hour"),
        (3 * 3600, "3 hours"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (21 * 86400, "3 weeks"),
        (90 * 86400, "3 months"),
        (3 * 365 * 86400, "3 years"),
    ],
)
def test_ages_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
