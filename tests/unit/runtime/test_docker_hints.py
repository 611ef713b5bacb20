"""Ways out, by the engine's own words."""

from __future__ import annotations

import pytest

from stackr.runtime.docker.hints import hint_for, in_plain_words


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("Address already in use: 10.9.0.7", "ipv4_address"),
        ("failed to bind host port for 0.0.0.0:80: address already in use", "another host port"),
        ("Bind for 0.0.0.0:80 failed: port is already allocated", "another host port"),
        ("manifest for a/b:1 not found: manifest unknown", 'name or tag of "image"'),
        ("Head https://r/v2/: no basic auth credentials", "stackr login"),
        ('registry "r:1": cannot be reached: Connection refused', "is its name right"),
        ('exec: "x": executable file not found in $PATH: unknown', '"command"'),
        ('exec: "/x": stat /x: no such file or directory: unknown', '"command"'),
        ("mount /a: no such file or directory", ""),
    ],
)
def test_hint_for(message: str, hint: str) -> None:
    found = hint_for(message)
    assert hint in found if found else not hint


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        (
            "driver failed programming external connectivity on endpoint shop-web-1 (4665b9): "
            "failed to bind host port for 127.0.0.1:80:172.16.16.2:80/tcp: address already in use",
            "host port 127.0.0.1:80/tcp is in use",
        ),
        (
            "driver failed programming external connectivity on endpoint a (1f): "
            "Bind for 0.0.0.0:80 failed: port is already allocated",
            "host port 0.0.0.0:80/tcp is in use",
        ),
        (
            "failed to create task for container: failed to create shim task: OCI runtime create "
            "failed: unable to start container process: error during container init: "
            'exec: "x": executable file not found in $PATH: unknown',
            'exec: "x": executable file not found in $PATH',
        ),
        ("No such container: web", "No such container: web"),
    ],
)
def test_an_error_without_the_engines_parts(message: str, plain: str) -> None:
    assert in_plain_words(message) == plain
