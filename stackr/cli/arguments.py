"""Words of a command line as typed values, checked: `SERVICE=NUM`, moments, spans, signals."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import typer

from stackr.cli.targets import Targets, split_targets
from stackr.errors import InvalidArgument
from stackr.spec.units import parse_duration
from stackr.text import whole_number

__all__ = [
    "Targets",
    "check_choice",
    "check_plain",
    "is_set",
    "parse_moment",
    "parse_parallel",
    "parse_pull",
    "parse_rmi",
    "parse_scale",
    "parse_signal",
    "parse_span",
    "parse_tail",
    "seconds",
    "split_targets",
    "without_dashes",
]


def parse_scale(words: Sequence[str] | None, *, option: str = "--scale") -> dict[str, int]:
    """`["web=3"]` as `{"web": 3}`. Raises InvalidArgument for another form or a negative number."""
    scale = {}
    for word in words or ():
        service, equals, number = word.partition("=")
        count = whole_number(number)
        if not service or not equals or count is None:
            raise InvalidArgument(f'{option}: "{word}": SERVICE=NUM is expected')
        scale[service] = count
    return scale


def parse_tail(text: str) -> int | None:
    """Lines to show; None for `all`."""
    if text == "all":
        return None
    lines = whole_number(text)
    if lines is None:
        raise InvalidArgument(f'--tail: "{text}": a number of lines or "all" is expected')
    return lines


_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?", re.ASCII)
_UNIX = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)


def parse_moment(option: str, text: str | None, *, now: float) -> float | None:
    """A point in time, in Unix seconds: `10m` (before now), `2026-01-02T13:23:37Z`, `1767360217`.

    A date without an offset is in the local time zone, as with `docker logs`.
    """
    if text is None:
        return None
    if _UNIX.fullmatch(text):
        return float(text)
    if text and (match := _DURATION.fullmatch(text)):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return now - timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    try:
        return datetime.fromisoformat(_to_microseconds(text)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidArgument(
            f'{option}: "{text}": a duration (10m) or a time (2026-01-02T13:23:37Z) is expected'
        ) from error


def _to_microseconds(text: str) -> str:
    """Docker prints nanoseconds, which `fromisoformat` of Python 3.11 cuts itself only to six."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def parse_span(option: str, text: str) -> float | None:
    """Seconds of "90", "1.5" or "1h30m"; None for 0, which is no limit. Raises InvalidArgument."""
    try:
        seconds = float(text) if _UNIX.fullmatch(text) else parse_duration(text) / 1e9
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise InvalidArgument(f'{option}: "{text}": a duration is expected, such as 90s or 1h30m')
    return seconds or None


def without_dashes(command: Sequence[str]) -> tuple[str, ...]:
    """A program and its arguments; `--` before them only says that they begin."""
    return tuple(command[1:] if command[0] == "--" and len(command) > 1 else command)


def seconds(given: str | float) -> float:
    """Seconds of "90", "1.5" or "1h30m", for an option's own parser, which gets the default too."""
    text = str(given)
    try:
        return parse_span("", text) or 0.0
    except InvalidArgument:
        raise typer.BadParameter(
            f'"{text}" is no duration of 0 or more: 90, 90s or 1h30m is expected'
        ) from None


def parse_signal(text: str) -> str:
    """A signal's name with its SIG, or its number as text. Raises InvalidArgument if none is so."""
    if whole_number(text, most=signal.SIGRTMAX):
        return text
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if name not in signal.Signals.__members__:
        raise InvalidArgument(f"Invalid signal: {text}")
    return name


def parse_pull(text: str | None) -> Literal["always", "missing", "never"] | None:
    """The policy of `--pull`; Docker Compose's other names for `missing` are taken too."""
    match text:
        case None | "policy":
            return None
        case "missing" | "if_not_present":
            return "missing"
        case "always":
            return "always"
        case "never":
            return "never"
        case _:
            check_choice("--pull", text, ("always", "missing", "never"))
            return None


def parse_rmi(text: str | None) -> Literal["all", "local"] | None:
    """The images that `--rmi` names."""
    match text:
        case None:
            return None
        case "all":
            return "all"
        case "local":
            return "local"
        case _:
            check_choice("--rmi", text, ("all", "local"))
            return None


def parse_parallel(text: str | None, environ: Mapping[str, str] = os.environ) -> int | None:
    """The most calls at once of `--parallel`, else of COMPOSE_PARALLEL_LIMIT; None if unsaid.

    -1 is without limit, here `sys.maxsize`.
    """
    option, given = "--parallel", text
    if given is None:
        option, given = "COMPOSE_PARALLEL_LIMIT", environ.get("COMPOSE_PARALLEL_LIMIT") or None
    if given is None:
        return None
    if given == "-1":
        return sys.maxsize
    if not given.isascii() or not given.isdigit() or not int(given):
        raise InvalidArgument(
            f'{option}: "{given}": a number of calls, or -1 for no limit, is expected'
        )
    return int(given)


def is_set(variable: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether an environment variable says yes, as Docker Compose reads it."""
    return environ.get(variable, "").lower() in ("1", "t", "true", "y", "yes")


def check_choice(option: str, value: str, choices: Sequence[str]) -> str:
    """`value`, if it is one of `choices`; InvalidArgument otherwise."""
    if value not in choices:
        listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise InvalidArgument(f'{option}: unknown value "{value}": {listed} is expected')
    return value


def check_plain(is_json: bool, flags: Mapping[str, bool]) -> None:
    """Raises InvalidArgument for `--json` with a flag whose output is plain lines.

    flags: whether each was given, by its spelling.
    """
    for spelling, is_given in flags.items():
        if is_json and is_given:
            raise InvalidArgument(f"{spelling} and --json cannot be combined")
