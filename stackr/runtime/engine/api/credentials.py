"""Registry credentials in requests: the `X-Registry-Auth` header and the body of `/auth`.

Source: Docker Engine API, "Authentication": base64url of a JSON object.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from stackr.errors import InvalidArgument
from stackr.registry.auth import RegistryAuth
from stackr.runtime.engine.api.body import string
from stackr.text import parse_json

__all__ = ["credentials_from", "registry_auth"]


def registry_auth(header: str) -> RegistryAuth | None:
    """The credentials of a header, None where it is absent or names none.

    Raises InvalidArgument, which shows nothing of what was sent.
    """
    if not header:
        return None
    padded = header + "=" * (-len(header) % 4)
    try:
        value = parse_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise InvalidArgument("invalid X-Registry-Auth header: not base64url of JSON") from None
    if not isinstance(value, dict):
        raise InvalidArgument("invalid X-Registry-Auth header: not an object")
    return credentials_from(value)


def credentials_from(value: Mapping[str, Any]) -> RegistryAuth | None:
    auth = RegistryAuth(
        username=string(value, "username"),
        password=string(value, "password"),
        identity_token=string(value, "identitytoken"),
        registry_token=string(value, "registrytoken"),
        server_address=string(value, "serveraddress"),
    )
    given = auth.username or auth.identity_token or auth.registry_token
    return auth if given else None
