"""How a value is mended that is not as it should be: by what was said of it, and where it is."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stackr.spec.rules import Path

__all__ = ["advice"]

_BY_MESSAGE: Mapping[str, str] = {
    "time: ": "write a duration such as 30s, 5m or 1h30m",
    "invalid suffix": "write a size such as 512m or 2gb",
    "invalid size": "write a size such as 512m or 2gb",
    "failed to cast to expected type: strconv": "write a number",
    "failed to cast to expected type: invalid boolean": "write true or false",
    "invalid additional host": "write HOST=ADDRESS",
    "healthcheck.test must start": 'put "CMD" before the program, or write one text for a shell',
    'must be a list, not "-': 'a space is missing behind the dash: write "- ITEM"',
    "top-level object must be": 'begin with "services:", and the services below it, indented',
}
_LISTS_OR_MAPPINGS = frozenset(
    ("environment", "labels", "annotations", "sysctls", "extra_hosts", "args", "driver_opts")
)
_COMMANDS = frozenset(("command", "entrypoint", "test"))
_DURATIONS = frozenset(
    (
        "interval",
        "timeout",
        "start_period",
        "start_interval",
        "stop_grace_period",
        "delay",
        "window",
    )
)
_OF_LISTS: Mapping[str, str] = {
    "ports": 'write HOST:CONTAINER, such as "8080:80" or "127.0.0.1:8080:80"',
    "volumes": "write SOURCE:TARGET, or SOURCE:TARGET:ro",
}


def advice(path: Path, message: str) -> str | None:
    """What to write instead; None where nothing is known."""
    hint = next((each for start, each in _BY_MESSAGE.items() if message.startswith(start)), None)
    if found := hint or (_of_name(str(path[-1]), message) if path else None):
        return found
    names = [part for part in path if isinstance(part, str)]
    attribute = names[-1] if names else ""
    is_item = bool(path) and isinstance(path[-1], int)
    if found := _of_attribute(attribute, message, is_item=is_item):
        return found
    if path[:1] == ("services",) and len(names) > 2 and attribute in _OF_LISTS:
        return _OF_LISTS[attribute]
    if path == ("services",) and message.startswith("must be a mapping"):
        return 'indent the names of the services below "services:", without dashes'
    if len(path) == 2 and path[0] == "services" and message.startswith("must be a mapping"):
        return "what stands here belongs to a service: indent it below the service's name"
    if len(path) == 1 and message.startswith("unknown key"):
        return 'a service, and what belongs to it, stands indented below "services:"'
    if message.startswith("must be a list, not "):
        return 'write each item on a line of its own behind "- ", or all in [ ]'
    return None


def _of_name(name: str, message: str) -> str | None:
    """Of keys that cannot be names, or that have signs in them which nobody sees."""
    if not message.startswith(("unknown key", "not a valid name")):
        return None
    if any(sign.isspace() and not sign.isascii() for sign in name):
        return "a blank in it is no plain one (a no-break space, perhaps): type it anew"
    if message.startswith("not a valid name"):
        possible = re.sub(r"[^a-zA-Z0-9._-]+", "-", name).strip("-")
        hint = 'letters, digits, ".", "_" and "-" make a name'
        return f'{hint}: write "{possible}"' if possible else hint
    return None


def _of_attribute(attribute: str, message: str, *, is_item: bool) -> str | None:
    """Of attributes that have a form of their own, wherever they stand."""
    if attribute in _LISTS_OR_MAPPINGS:
        if is_item and message.startswith("must be a string"):
            return "write NAME=value behind each dash, or NAME: value without dashes"
        if message.startswith("must be a mapping or a list"):
            return "write NAME: value below it, each on a line of its own, indented"
    if attribute == "healthcheck" and message.startswith("must be a mapping"):
        return 'write "test: COMMAND" below it, indented'
    if attribute in _COMMANDS and message.startswith("must be null, a string or a list"):
        return 'write one text, or a list: ["PROGRAM", "ARGUMENT"]'
    if "has a trailing space" in message:
        return 'write NAME=value, without a blank before the "="'
    number = message.removeprefix("must be a string, not ")
    if attribute in _DURATIONS and number.isdecimal():
        return f"write it with its unit: {number}s"
    return None
