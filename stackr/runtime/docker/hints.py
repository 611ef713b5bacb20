"""What an engine refuses, in plain words, and ways out of it: the API carries a message alone."""

from __future__ import annotations

import re

__all__ = ["hint_for", "in_plain_words"]

_CHAIN = re.compile(
    r"^failed to create task for container: failed to create shim task: "
    r"OCI runtime create failed: (?:runc create failed: )?"
    r"(?:unable to start container process: )?(?:error during container init: )?"
)
_RPC = re.compile(r"^rpc error: code = \w+ desc = ")
_ENDPOINT = re.compile(
    r"^driver failed programming external connectivity on endpoint \S+ \(\w+\): "
)
_PORT = re.compile(
    r"^failed to bind host port (?:for )?(?P<host>\S+:\d+)(?:-\d+)?:[^/\s]+/(?P<protocol>\w+): "
    r"address already in use"
    r"|^Bind for (?P<bound>\S+:\d+) failed: port is already allocated"
)

_HINTS: tuple[tuple[str, str], ...] = (
    (
        r"(?-i:Address already in use)",  # of a network; a port's words begin in lower case
        'another container has the address: give "ipv4_address" or "ipv6_address" another value',
    ),
    (
        r"address already in use|port is already allocated|host port \S+ is in use",
        "publish another host port, or end what listens on this one: ss -lntup shows it",
    ),
    (
        r"unauthorized|no basic auth credentials|authentication required",
        "log in with: stackr login REGISTRY",
    ),
    (
        r"manifest unknown|manifest for \S+ not found|repository does not exist",
        'correct the name or tag of "image"; a private image needs: stackr login',
    ),
    (
        r'registry "[^"]*": cannot be reached',
        "is its name right, and does the engine's host reach it? a mirror of Docker Hub is"
        " named by registry-mirrors, in the engine's configuration",
    ),
    (
        r"sent an HTTP request to an HTTPS server",
        "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH: the folder of ca.pem, cert.pem, key.pem",
    ),
    (
        r"unable to find user ",
        'give "user" a name that the image has, or a number',
    ),
    (
        r"executable file not found|exec: .*: (?:no such file|permission denied)",
        'correct "command" or "entrypoint", or take an image that has the program',
    ),
)


def in_plain_words(message: str) -> str:
    """An engine's error without the parts of the engine that handed it on."""
    if _CHAIN.match(message):
        return _CHAIN.sub("", message).removesuffix(": unknown")
    inner = _ENDPOINT.sub("", _RPC.sub("", message))
    if port := _PORT.match(inner):
        return f"host port {port['host'] or port['bound']}/{port['protocol'] or 'tcp'} is in use"
    return inner


def hint_for(message: str) -> str | None:
    """What may help against an engine's error of this text; None where nothing is known."""
    for pattern, hint in _HINTS:
        if re.search(pattern, message, re.IGNORECASE):
            return hint
    return None
