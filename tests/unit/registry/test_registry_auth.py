"""Challenges, and that secrets do not show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.registry.auth import Challenge, RegistryAuth, parse_challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Basic", [Challenge("basic", {})]),
        ('BASIC realm="a \\"b\\", c"', [Challenge("basic", {"realm": 'a "b", c'})]),
        (
            'Bearer realm="https://auth.example.com/token",service="r",scope="repository:a/b:pull"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example.com/token",
                        "service": "r",
                        "scope": "repository:a/b:pull",
                    },
                )
            ],
        ),
        (
            "Negotiate, Basic realm=x , charset=utf-8,Bearer realm=y",
            [
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": "x", "charset": "utf-8"}),
                Challenge("bearer", {"realm": "y"}),
            ],
        ),
        ('= "', []),
    ],
)
def test_challenges_are_read_in_order(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges(header) == challenges


@given(st.text(alphabet='Basic realm=",\\ \t', max_size=60))
def test_malformed_challenges_do_not_raise(header: str) -> None:
    parse_challenges(header)


def test_secrets_are_not_shown() -> None:
    auth = RegistryAuth("user", "hunter2", "idtoken", "regtoken")
    assert not any(secret in repr(auth) for secret in ("hunter2", "idtoken", "regtoken"))


def test_basic_needs_a_user_name() -> None:
    assert RegistryAuth("u", "p").basic == "Basic dTpw"
    assert RegistryAuth(password="p").basic is None
