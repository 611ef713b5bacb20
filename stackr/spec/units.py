"""Durations, sizes and numbers: from text to values and back, by the rules of Go's libraries.

Sources: Docker's go-units size.go, go-str2duration, Go's time, strconv, fmt and encoding/json.
"""

from __future__ import annotations

import re
import struct
from typing import Any, TypeGuard

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_DURATION_PART = re.compile(r"(\d{0,19})(\.\d*)?([^.\d]+)", re.ASCII)
_GO_FLOAT = re.compile(
    r"[-+]?(?:(\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf|infinity|nan)\Z", re.ASCII | re.IGNORECASE
)
_GO_INT = re.compile(r"[-+]?\d+\Z", re.ASCII)
_SIZE = re.compile(r"(.*[0-9.])?( ?)([^0-9. ]*)\Z", re.ASCII | re.DOTALL)
_SCALES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_INT64_MAX = (1 << 63) - 1


def is_int(value: Any) -> TypeGuard[int]:
    """Whether it is an integer for Go, which has another type for those beyond 63 bits."""
    return type(value) is int and value <= _INT64_MAX


def parse_duration(text: str) -> int:
    """Nanoseconds of "1h30m", "1.5s", "2d" or "0"; ValueError for anything else."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = position = 0
    while position < len(rest):
        match = _DURATION_PART.match(rest, position)
        if match is None or not (match[1] or (match[2] or "").strip(".")):
            raise ValueError(f'time: {_duration_fault(rest, position)} duration "{text}"')
        if match[3] not in NANOSECONDS:
            raise ValueError(f'time: unknown unit "{match[3]}" in duration "{text}"')
        scale = NANOSECONDS[match[3]]
        total += int(match[1] or 0) * scale + _fraction(match[2], scale)
        position = match.end()
    if not rest or total > _INT64_MAX:
        raise ValueError(f'time: invalid duration "{text}"')
    return -total if text[0] == "-" else total


def _duration_fault(rest: str, position: int) -> str:
    return "missing unit in" if re.match(r"\d*\.?\d*\Z", rest[position:]) else "invalid"


def _fraction(digits: str | None, scale: int) -> int:
    if not digits or digits == ".":
        return 0
    return int(int(digits[1:19]) * (scale / 10 ** len(digits[1:19])))


def format_duration(nanoseconds: int) -> str:
    """Write a duration as Go does: 1m30s, 1.5s, 100ms, 0s."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < NANOSECONDS["s"]:
        for unit in ("ms", "µs", "ns"):
            if rest >= NANOSECONDS[unit]:
                return f"{sign}{_decimal(rest, NANOSECONDS[unit])}{unit}"
        return "0s"
    hours, rest = divmod(rest, NANOSECONDS["h"])
    minutes, rest = divmod(rest, NANOSECONDS["m"])
    text = f"{_decimal(rest, NANOSECONDS['s'])}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = f"{part:0{len(str(unit)) - 1}}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size(text: str) -> int:
    """Bytes of "512m", "1.5 GiB", "64kb" or "100", in powers of 1024; ValueError otherwise."""
    match = _SIZE.match(text)
    if match is None or match[1] is None:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = parse_float(match[1]), match[3].lower()
    if number < 0 or number != number:
        raise ValueError(f"invalid size: '{text}'")
    if suffix and suffix != "b":
        if suffix[0] not in _SCALES or suffix[1:] not in ("", "b", "ib"):
            raise ValueError(f"invalid suffix: '{suffix}'")
        number *= _SCALES[suffix[0]]
    return int(min(number, float(1 << 62) * 2 - 1024))


def format_size(count: int) -> str:
    """Write bytes as a stack file has them: 512m, 64k; else both ways: 100000000 (95.4m)."""
    for unit, each in _MULTIPLES.items():
        if count and count % each == 0:
            return f"{count // each}{unit}"
    near = next((unit for unit, each in _MULTIPLES.items() if count >= each), "")
    return f"{count} ({count / _MULTIPLES[near]:.1f}{near})" if near else str(count)


_MULTIPLES = {"g": 1 << 30, "m": 1 << 20, "k": 1 << 10}


def parse_float(text: str) -> float:
    """A number in Go's notation; ValueError otherwise."""
    if not _GO_FLOAT.match(text):
        raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
    return float(text)


def parse_int(text: str) -> int:
    """A decimal integer of 64 bits; ValueError otherwise."""
    if not _GO_INT.match(text):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    number = int(text) if len(text) < 25 else _INT64_MAX + 1
    if not -_INT64_MAX - 1 <= number <= _INT64_MAX:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


_BOOLEANS = {
    "true": True,
    "y": True,
    "yes": True,
    "on": True,
    "false": False,
    "n": False,
    "no": False,
    "off": False,
}


def parse_bool(text: str) -> bool:
    """A boolean, in YAML 1.1's spellings too; ValueError otherwise."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f"invalid boolean: {text}") from None


def single(number: float) -> float:
    """The shortest decimal that names the same 32-bit float, as Go prints a float32."""
    try:
        packed = struct.pack("<f", number)
    except OverflowError:
        raise ValueError(f"{number} is out of range") from None
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == packed:
            return short
    return number


def json_number(number: float) -> float:
    """A number as Go writes it in JSON: without fraction or exponent where it has no need of one.

    Source: Go's encoding/json, floatEncoder.
    """
    if not number.is_integer() or abs(number) >= 1e21:
        return number
    digits, exponent = _scientific(*_mantissa(number))
    return int(_positional(digits, exponent)) * (-1 if number < 0 else 1)


def _mantissa(number: float) -> tuple[str, int]:
    mantissa, _, power = repr(number).partition("e")
    return mantissa, int(power or 0)


def go_text(value: Any) -> str:
    """What Go's `fmt.Sprint` makes of a YAML value."""
    if type(value) is str:
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_text(entry) for entry in value) + "]"
    return str(value)


def _go_float(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    digits, exponent = _scientific(*_mantissa(value))
    sign = "-" if value < 0 or repr(value).startswith("-") else ""
    if -4 <= exponent < 6:
        return sign + _positional(digits, exponent)
    point = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{point}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def _scientific(mantissa: str, power: int) -> tuple[str, int]:
    whole, _, part = mantissa.lstrip("-").partition(".")
    digits = (whole + part).lstrip("0")
    leading = len(whole + part) - len(digits)
    return digits.rstrip("0") or "0", (len(whole) - 1 - leading + power) if digits else 0


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    part = digits[exponent + 1 :]
    return f"{whole}.{part}" if part else whole
