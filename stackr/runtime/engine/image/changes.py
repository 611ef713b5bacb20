"""Dockerfile instructions that change an image's configuration, as `docker commit -c` has them.

    CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR

Pure: a configuration and texts in, a configuration out. Source: moby/buildkit,
frontend/dockerfile/{parser,instructions,shell}; moby, builder/dockerfile/dispatchers.go.
"""

from __future__ import annotations

import json
import posixpath
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stackr.errors import InvalidArgument
from stackr.text import parse_json, whole_number

__all__ = ["apply_changes"]

Config = dict[str, Any]

_VARIABLE: Final = re.compile(
    r"\\(?P<escaped>.)|\$(?P<name>\w+)|\$\{(?P<braced>\w+)(?::(?P<sign>[-+])(?P<word>[^}]*))?\}"
)
_WORD: Final = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""", re.DOTALL)
_PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII | re.IGNORECASE)
_DURATION: Final = re.compile(r"(?:\d{1,18}(?:\.\d{1,18})?(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_NS: Final = {
    **{"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9},
    **{"m": 60 * 10**9, "h": 3600 * 10**9},
}
_SHELL: Final = ["/bin/sh", "-c"]
_MOST_PORT: Final = 65535
_MOST_RETRIES: Final = 2**31 - 1


def apply_changes(config: Mapping[str, Any], changes: Sequence[str]) -> Config:
    """`config` (with the keys of the OCI image configuration) after these instructions, in order.

    Raises InvalidArgument for one that is none of those above, or is malformed.
    """
    result = dict(config)
    is_command_set = False
    for text in changes:
        name, _, rest = text.strip().partition(" ")
        name = name.upper()
        if name not in _INSTRUCTIONS:
            raise InvalidArgument(f"{name or text} is not a valid change command")
        if not rest.strip():
            raise InvalidArgument(f"{name} requires at least one argument")
        _INSTRUCTIONS[name](result, rest.strip())
        is_command_set |= name == "CMD"
        if name == "ENTRYPOINT" and not is_command_set:
            result["Cmd"] = None
    return result


def _command(key: str) -> Callable[[Config, str], None]:
    def instruction(config: Config, text: str) -> None:
        config[key] = _program(config, text)

    return instruction


def _program(config: Config, text: str) -> list[str]:
    """A JSON list of words, or text for the shell."""
    words = _json_words(text)
    return words if words is not None else [*(config.get("Shell") or _SHELL), text]


def _json_words(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        value = parse_json(text)
    except ValueError:
        return None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return value
    return None


def _env(config: Config, text: str) -> None:
    known = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    pairs = _pairs("ENV", text)
    known |= {_expanded(config, key): _expanded(config, value) for key, value in pairs}
    config["Env"] = [f"{key}={value}" for key, value in known.items()]


def _label(config: Config, text: str) -> None:
    added = {
        _expanded(config, key): _expanded(config, value) for key, value in _pairs("LABEL", text)
    }
    config["Labels"] = {**(config.get("Labels") or {}), **added}


def _pairs(name: str, text: str) -> list[tuple[str, str]]:
    """`a=1 b="2 3"`, or one pair with a space: `a 1 and the rest`."""
    words = _WORD.findall(text)
    if _WORD.sub("", text).strip():
        raise InvalidArgument(f"{name}: unexpected end of statement while looking for a quote")
    if words and "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{name} must have two arguments")
        return [(key, value.strip())]
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InvalidArgument(
                f"Syntax error - can't find = in {json.dumps(word)}. Must be of the form:"
                " name=value"
            )
        pairs.append((key, value))
    return pairs


def _expanded(config: Config, text: str) -> str:
    """Variables of the configuration's environment put in; quotes taken away."""
    env = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    parts = []
    for match in re.finditer(r"""'[^']*'|"(?:[^"\\]|\\.)*"|(?:[^'"\\]|\\.)+|.""", text, re.DOTALL):
        part = match[0]
        if part.startswith("'") and part.endswith("'") and len(part) > 1:
            parts.append(part[1:-1])
            continue
        if part.startswith('"') and part.endswith('"') and len(part) > 1:
            part = part[1:-1]
        parts.append(_VARIABLE.sub(lambda found: _value(found, env), part))
    return "".join(parts)


def _value(match: re.Match[str], env: Mapping[str, str]) -> str:
    if match["escaped"] is not None:
        return match["escaped"]
    found = env.get(match["name"] or match["braced"], "")
    if match["sign"] == "-":
        return found or match["word"]
    if match["sign"] == "+":
        return match["word"] if found else ""
    return found


def _expose(config: Config, text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in _expanded(config, text).split():
        match = _PORT.fullmatch(word)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or not 0 < low <= high <= _MOST_PORT:
            raise InvalidArgument(f"invalid containerPort: {word}")
        protocol = (match[3] or "tcp").lower()
        ports |= {f"{number}/{protocol}": {} for number in range(low, high + 1)}
    config["ExposedPorts"] = ports


def _volume(config: Config, text: str) -> None:
    words = _json_words(text)
    paths = [_expanded(config, word) for word in (words if words is not None else text.split())]
    if not all(path.strip() for path in paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _workdir(config: Config, text: str) -> None:
    path = _expanded(config, text)
    before = config.get("WorkingDir") or "/"
    config["WorkingDir"] = posixpath.normpath(posixpath.join("/", before, path))


def _user(config: Config, text: str) -> None:
    config["User"] = _expanded(config, text)


def _stop_signal(config: Config, text: str) -> None:
    name = _expanded(config, text)
    number = whole_number(name, most=signal.SIGRTMAX)
    known = {each.name for each in signal.Signals}
    if not number and f"SIG{name.upper().removeprefix('SIG')}" not in known:
        raise InvalidArgument(f"Invalid signal: {name}")
    config["StopSignal"] = name


def _on_build(config: Config, text: str) -> None:
    name = text.split()[0].upper()
    if name in ("ONBUILD", "MAINTAINER", "FROM"):
        raise InvalidArgument(f"{name} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*(config.get("OnBuild") or ()), text]


_CHECK_OPTIONS: Final = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
    "retries": "Retries",
}


def _health_check(config: Config, text: str) -> None:
    check: Config = {}
    words = text.split(" ")
    while words and words[0].startswith("--"):
        name, equals, value = words.pop(0)[2:].partition("=")
        if name not in _CHECK_OPTIONS or not equals:
            raise InvalidArgument(f"unknown flag: {name}")
        check[_CHECK_OPTIONS[name]] = _number(value) if name == "retries" else _ns(value)
    kind, _, rest = " ".join(words).strip().partition(" ")
    match kind.upper():
        case "NONE" if not rest.strip() and not check:
            config["Healthcheck"] = {"Test": ["NONE"]}
        case "CMD" if rest.strip():
            command = _json_words(rest.strip())
            test = ["CMD", *command] if command is not None else ["CMD-SHELL", rest.strip()]
            config["Healthcheck"] = {**check, "Test": test}
        case _:
            raise InvalidArgument(f"HEALTHCHECK: CMD with a command, or NONE, is expected: {text}")


def _number(text: str) -> int:
    number = whole_number(text, most=_MOST_RETRIES)
    if number is None:
        raise InvalidArgument(f"HEALTHCHECK: --retries: not a number: {text}")
    return number


def _ns(text: str) -> int:
    if not _DURATION.fullmatch(text):
        raise InvalidArgument(f'time: invalid duration "{text}"')
    return round(sum(float(value) * _NS[unit] for value, unit in _PART.findall(text)))


_INSTRUCTIONS: Final[Mapping[str, Callable[[Config, str], None]]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _health_check,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
