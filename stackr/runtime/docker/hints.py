"""Ways out of what an engine refuses, found by its words: the API carries a message alone."""

from __future__ import annotations

import re

__all__ = ["hint_for"]

_HINTS: tuple[tuple[str, str], ...] = (
    (
        r"(?-i:Address already in use)",  # of a network; a port's words begin in lower case
        'another container has the address: give "ipv4_address" or "ipv6_address" another value',
    ),
    (
        r"address already in use|port is already allocated",
        "publish another host port, or end what listens on this one: ss -lntup shows it",
    ),
    (
        r"unauthorized|no basic auth credentials|authentication required",
        "log in with: docker login",
    ),
    (
        r"manifest unknown|manifest for \S+ not found|repository does not exist",
        'correct the name or tag of "image"; a private image needs: docker login',
    ),
    (
        r"sent an HTTP request to an HTTPS server",
        "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH: the folder of ca.pem, cert.pem, key.pem",
    ),
    (
        r"executable file not found|exec: .*: (?:no such file|permission denied)",
        'correct "command" or "entrypoint", or take an image that has the program',
    ),
)


def hint_for(message: str) -> str | None:
    """What may help against an engine's error of this text; None where nothing is known."""
    for pattern, hint in _HINTS:
        if re.search(pattern, message, re.IGNORECASE):
            return hint
    return None
