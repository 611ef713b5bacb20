"""Ways out, by the engine's own words."""

from __future__ import annotations

import pytest

from stackr.runtime.docker.hints import hint_for


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("Address already in use: 10.9.0.7", "ipv4_address"),
        ("failed to bind host port for 0.0.0.0:80: address already in use", "another host port"),
        ("Bind for 0.0.0.0:80 failed: port is already allocated", "another host port"),
        ("manifest for a/b:1 not found: manifest unknown", 'name or tag of "image"'),
        ("Head https://r/v2/: no basic auth credentials", "docker login"),
        ('exec: "x": executable file not found in $PATH: unknown', '"command"'),
        ('exec: "/x": stat /x: no such file or directory: unknown', '"command"'),
        ("mount /a: no such file or directory", ""),
    ],
)
def test_hint_for(message: str, hint: str) -> None:
    found = hint_for(message)
    assert hint in found if found else not hint
