"""Which registries are spoken to without TLS."""

from __future__ import annotations

import pytest

from stackr.registry.transport import is_plain_http


@pytest.mark.parametrize(
    ("domain", "insecure", "plain"),
    [
        ("localhost", (), True),
        ("localhost:5000", (), True),
        ("127.0.0.1:5000", (), True),
        ("127.9.9.9", (), True),
        ("[::1]:5000", (), True),
        ("docker.io", (), False),
        ("localhost.example.com", (), False),
        ("127.0.0.1.example.com:5000", (), False),
        ("10.1.2.3:5000", (), False),
        ("10.1.2.3:5000", ("10.0.0.0/8",), True),
        ("10.1.2.3:5000", ("10.1.2.3",), True),
        ("registry.lan:5000", ("registry.lan:5000",), True),
        ("registry.lan:5001", ("registry.lan:5000",), False),
        ("registry.lan:5001", ("registry.lan",), True),
    ],
)
def test_plain_http(domain: str, insecure: tuple[str, ...], plain: bool) -> None:
    assert is_plain_http(domain, insecure) is plain
