"""What a registry asks for before another try."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from stackr.errors import Unavailable
from stackr.registry.retry import ATTEMPTS, TryAgain, pause_s, retry_after_s


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("7", 7),
        (" 7 ", 7),
        ("-5;x", 0),
        ("1e9", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Fri, 99 Dec 9999 23:59:59 GMT", 0),
    ],
)
def test_retry_after(header: str | None, seconds: float) -> None:
    assert retry_after_s(header) == seconds


def test_retry_after_a_date() -> None:
    assert 3000 < retry_after_s(formatdate(time.time() + 3600, usegmt=True)) <= 3600


def test_pauses_grow_and_respect_what_is_asked_for() -> None:
    pauses = [pause_s(Unavailable("x"), failures) for failures in range(1, ATTEMPTS)]
    assert pauses == sorted(set(pauses))
    assert pause_s(TryAgain("x", after_s=30), 1) == 30
    with pytest.raises(Unavailable):
        pause_s(Unavailable("x"), ATTEMPTS)
    with pytest.raises(Unavailable, match="tried again in 3600 s"):
        pause_s(TryAgain("x", after_s=3600), 1)
