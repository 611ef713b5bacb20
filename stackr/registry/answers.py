"""What a registry's answers say: errors, in its words and Docker's, and tokens.

Source: distribution-spec, "Error Codes"; Docker's "Token Authentication Specification".
"""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from stackr.errors import InvalidArgument, NotFound, Unavailable
from stackr.text import parse_json, visible

__all__ = ["error_body", "error_in", "error_of", "not_found", "parse_token", "read_limited"]

_ERROR_LIMIT: Final = 64 << 10
_TOKEN_MARGIN_S: Final = 10.0
_DEFAULT_TOKEN_LIFE_S: Final = 60.0  # where the answer does not say: Docker's minimum


def parse_token(body: bytes, domain: str) -> tuple[str, float]:
    """A token, and for how many seconds it is good. Raises Unavailable where there is none."""
    try:
        answer = parse_json(body)
        token = answer.get("token") or answer.get("access_token")
        life_s = float(answer.get("expires_in") or _DEFAULT_TOKEN_LIFE_S)
    except (ValueError, AttributeError, TypeError):
        token, life_s = None, 0.0
    if not isinstance(token, str) or not token or not token.isprintable():
        raise Unavailable(f'registry "{domain}": the token server gave no token')
    return token, max(life_s - _TOKEN_MARGIN_S, _TOKEN_MARGIN_S)


async def read_limited(response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    """The whole body. Raises InvalidArgument where it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise InvalidArgument(f"{what}: larger than {limit} bytes")
    return bytes(body)


async def error_of(response: aiohttp.ClientResponse) -> tuple[str, str]:
    """The code and the text (`manifest unknown: manifest unknown`) of a registry's error answer;
    both are empty where the body is no such answer.
    """
    return error_in(await error_body(response))


async def error_body(response: aiohttp.ClientResponse) -> bytes:
    """Of a refusal; b"" where it is longer than any would be."""
    try:
        return await read_limited(response, _ERROR_LIMIT, "error")
    except InvalidArgument:
        return b""


def error_in(body: bytes) -> tuple[str, str]:
    """As `error_of`, of a body that has been read."""
    try:
        first: dict[str, Any] = parse_json(body)["errors"][0]
        code, message = str(first.get("code") or "")[:100], str(first.get("message") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", ""
    texts = [code.lower().replace("_", " "), " ".join(message.split())[:300]]
    return code, ": ".join(visible(text) for text in texts if text)


def not_found(code: str, text: str, *, name: str, reference: str) -> NotFound:
    """A registry's 404, in Docker's words."""
    if code == "NAME_UNKNOWN":
        return NotFound(f"repository {name} not found: {text}")
    return NotFound(f"manifest for {reference} not found: {text or 'manifest unknown'}")
