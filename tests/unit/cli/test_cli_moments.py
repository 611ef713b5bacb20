"""Times of images and events are shown whatever they are, in every zone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from stackr.cli.objects.image.ls import image_rows
from stackr.cli.views.moments import local, utc

# 0001-01-01T00:00:00+23:59 and 9999-12-31T23:59:59-23:59, which RFC 3339 can write
FIRST_S, LAST_S = -62135683140, 253402387139


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("seconds", [FIRST_S, LAST_S, 1e300, -1e300, float("inf")])
def test_what_calendars_do_not_have_is_shown_as_their_ends(seconds: float) -> None:
    assert utc(seconds).year in (1, 9999)
    assert local(seconds).year in (1, 9999)


def test_any_other_moment_is_itself(zone: str) -> None:
    assert utc(1767360217.25).isoformat() == "2026-01-02T13:23:37.250000+00:00"
    offset = {"UTC": 0, "Asia/Tokyo": 9, "America/Los_Angeles": -8}[zone]
    if os.path.exists(f"/usr/share/zoneinfo/{zone}"):
        assert local(1767360217).utcoffset() == timedelta(hours=offset)


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("created", [FIRST_S, LAST_S])
def test_an_image_of_such_a_time_is_listed(created: int) -> None:
    item = {"Id": "sha256:" + "a" * 64, "Created": created, "RepoTags": ["a:1"]}
    (row,) = image_rows(item, now=1767360217, whole=False, digests=False)
    assert row["CreatedAt"][:4] in ("9999", "1-01", "0001")
