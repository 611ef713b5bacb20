"""Registry credentials, and the challenges by which registries ask for them.

Source: RFC 9110 "WWW-Authenticate"; distribution-spec and Docker's "Token Authentication".
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Challenge", "RegistryAuth", "parse_challenges"]

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME_RE: Final = re.compile(rf"\s*,?\s*({_TOKEN})(?=\s|,|$)(?!\s*=)")
_PARAMETER_RE: Final = re.compile(rf'\s*,?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """What a client sends in `X-Registry-Auth`; never shown in a message or a log."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """An OAuth2 refresh token, in place of the password."""
    registry_token: str = field(default="", repr=False)
    """A bearer token, used as it is."""
    server_address: str = ""

    @property
    def basic(self) -> str | None:
        """The value of an `Authorization` header; None without a user name."""
        if not self.username:
            return None
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a registry offers: `basic` or `bearer`, with its parameters."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """The challenges of a `WWW-Authenticate` header, in order; what is malformed ends the list."""
    challenges: list[Challenge] = []
    position = 0
    while match := _SCHEME_RE.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER_RE.match(header, position):
            position = parameter.end()
            quoted = parameter[2]
            value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[parameter[1].lower()] = value
        challenges.append(Challenge(match[1].lower(), parameters))
    return challenges
