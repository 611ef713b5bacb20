"""Revisions: as labels and back, how many are kept, and which one a rollback goes to."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.errors import Conflict, NotFound
from stackr.planner.observe.revision import (
    KEPT,
    Revision,
    find_revision,
    last_applied,
    next_number,
    outdated,
    previous,
    revision_of,
    revision_volume,
)
from stackr.runtime import labels
from stackr.runtime.types import VolumeState

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def kept(revision: Revision) -> Revision | None:
    config = revision_volume("demo", revision)
    return revision_of(VolumeState(config.name, labels=config.labels))


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_revision_is_read_as_it_was_kept(archive: dict[str, object]) -> None:
    revision = Revision(3, 1.5, "me@host", archive=archive, images={"a": "sha256:1"})
    assert kept(revision) == revision


@pytest.mark.parametrize("entry", ["", "x", "Wx1", "c-qa", "\u00e9"])
def test_a_damaged_one_is_passed_over(entry: str) -> None:
    assert revision_of(VolumeState("v", labels={labels.HISTORY_ENTRY: entry})) is None


def kept_as(number: int, entry: Mapping[str, object]) -> VolumeState:
    text = base64.b85encode(zlib.compress(json.dumps(entry).encode())).decode()
    names = {labels.HISTORY_NUMBER: str(number), labels.HISTORY_ENTRY: text}
    return VolumeState("v", labels=names)


def test_a_revision_of_before_versions() -> None:
    golden = Path(__file__).with_name("revision.1.json")
    revision = revision_of(VolumeState("v", labels=json.loads(golden.read_text())))
    assert revision is not None
    assert (revision.number, revision.status, revision.action) == (1, "failed", "up")
    assert set(revision.archive["services"]) == {"web", "once"}
    assert kept(revision) == revision


def test_a_newer_one_keeps_its_number_and_is_not_gone_by() -> None:
    newer = revision_of(kept_as(7, {"version": 2, "number": 7, "status": "applied"}))
    damaged = revision_of(kept_as(8, {"version": "x"}))
    assert newer is not None
    assert damaged is not None
    assert next_number([Revision(6), newer]) == 8
    assert next_number([Revision(6), damaged]) == 9
    assert last_applied([Revision(6), newer]) == Revision(6)
    for found, why in ((newer, "kept by a newer stackr"), (damaged, "is damaged")):
        with pytest.raises(Conflict, match=f"revision {found.number} .*{why}"):
            find_revision([Revision(6), found], found.number)
        with pytest.raises(Conflict, match=why):
            previous([Revision(5), Revision(6), found])
    assert find_revision([Revision(6), newer], 6) == Revision(6)
    many = [Revision(n) for n in range(9, KEPT + 12)]
    assert [revision.number for revision in outdated([newer, damaged, *many])] == [8, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("number", value) for value in ("x", None, -1, 0, 1.5, ())),
        *(("at", value) for value in ("x", -1, 1e300, ())),
        *(("by", value) for value in (5, None, ())),
        *(("services", value) for value in (5, "x", (5,))),
        *(("images", value) for value in ("x", (5,), {"a": 5})),
        ("replicas", {"a": "many"}),
        ("archive", [1]),
        ("summary", 5),
    ],
)
def test_one_of_another_form_is_damaged_and_keeps_its_number(field: str, value: object) -> None:
    found = revision_of(kept_as(8, {"version": 1, "number": 8, field: value}))
    assert found is not None
    assert (found.number, found.status, found.at) == (8, "damaged", 0)


@pytest.mark.parametrize("number", ["9" * 5000, "\u0663", "\u00b2", "x", ""])
def test_a_number_that_is_none(number: str) -> None:
    assert revision_of(VolumeState("v", labels={labels.HISTORY_NUMBER: number})) is None


def test_numbers_go_on() -> None:
    assert next_number([]) == 1
    assert next_number([Revision(4), Revision(2)]) == 5


def test_the_oldest_make_room_and_the_last_applied_stays() -> None:
    many = [Revision(n, status="failed") for n in range(2, KEPT + 5)]
    gone = outdated([Revision(1), *many])
    assert [revision.number for revision in gone] == [2, 3, 4, 5]
    assert outdated(many[: KEPT - 1]) == []


def test_a_rollback_goes_to_the_last_one_that_is_different() -> None:
    first = Revision(1, archive={"a": 1})
    second = Revision(2, archive={"a": 2})
    failed = Revision(3, archive={"a": 3}, status="failed")
    same = Revision(4, archive={"a": 2})
    assert previous([same, first, failed, second]) == first
    for nothing in ([], [first], [second, same]):
        with pytest.raises(NotFound):
            previous(nothing)


def test_an_unknown_number_is_told_with_those_that_are_kept() -> None:
    with pytest.raises(NotFound, match="no such revision: 9") as caught:
        find_revision([Revision(2), Revision(5)], 9)
    assert caught.value.hint == "2 to 5 are kept: see stackr history"
    with pytest.raises(NotFound) as caught:
        find_revision([], 9)
    assert caught.value.hint == "none is kept: see stackr history"
