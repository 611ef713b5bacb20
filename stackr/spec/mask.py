"""What nobody should read in print: passwords, tokens, keys, and URLs that hold them.

What a variable holds is judged by its name; a URL with a password is known by its form.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MASK", "is_secret_name", "masked"]

MASK = "********"

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SECRET_WORD = re.compile(
    r".*(password|passwd|passphrase|passcode|secrets?|tokens?|credentials?|apikey|pwd)|"
    r"(pg|my)?pass|keys?|auth|jwt|bearer|dsn|salt|cookie",
)
_HARMLESS_END = frozenset({"file", "path", "dir", "name", "id", "host", "port", "user", "ttl"})
_URL_PASSWORD = re.compile(
    r"(?P<before>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE
)
_ASSIGNED = re.compile(
    r"(?P<before>(?:^|\s)-{0,2}[\w.-]*(?:passw(?:or)?d|secret|token|api[-_]?key)[\w.-]*[= ])\S+",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether the value under this name is to be masked: `DB_PASSWORD`, `api_key`, `JWT`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _HARMLESS_END:
        return False
    return any(_SECRET_WORD.fullmatch(word) for word in words)


def masked(path: str, value: Any) -> tuple[Any, bool]:
    """The value as a plan may show it, and whether anything of it is hidden.

    path: where it stands, as in `environment.DB_PASSWORD`; a name of the last part that sounds
    secret hides the whole value, else passwords inside text are hidden.
    """
    section, _, name = path.partition(".")
    if value is None or isinstance(value, bool):
        return value, False
    if path.startswith("secrets["):
        return _without_hash(path.rpartition(".")[2], value)
    if name and section in ("environment", "labels", "annotations") and is_secret_name(name):
        return MASK, True
    shown = _hide(value)
    return shown, shown != value


def _without_hash(name: str, value: Any) -> tuple[Any, bool]:
    """A grant of a secret: the hash of a short one would tell what it is."""
    if name == "sha256":
        return MASK, True
    if isinstance(value, dict) and "sha256" in value:
        return {**value, "sha256": MASK}, True
    return value, False


def _hide(value: Any) -> Any:
    if isinstance(value, str):
        return _ASSIGNED.sub(rf"\g<before>{MASK}", _URL_PASSWORD.sub(rf"\g<before>{MASK}", value))
    if isinstance(value, list):
        return [_hide(item) for item in value]
    if isinstance(value, dict):
        return {key: _hide_named(str(key), item) for key, item in value.items()}
    return value


def _hide_named(name: str, value: Any) -> Any:
    if isinstance(value, str) and is_secret_name(name):
        return MASK
    return _hide(value)
