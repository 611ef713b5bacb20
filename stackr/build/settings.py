"""Instructions that change an image's configuration and nothing else; pure.

CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME

Each takes the configuration, the instruction and its words, and changes the first in place.
Source: moby/buildkit, frontend/dockerfile/instructions/parse.go and dockerfile2llb/convert.go.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

from stackr.build.dockerfile import Instruction
from stackr.build.errors import DockerfileError
from stackr.build.expand import Words
from stackr.build.flags import flags_of
from stackr.build.steps import Config

__all__ = ["DEFAULT_PATH", "DEFAULT_SHELL", "SETTINGS", "environment"]

DEFAULT_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Of an image whose base has none, `scratch` above all. Source: moby/moby, oci/defaults.go."""
DEFAULT_SHELL: Final = ["/bin/sh", "-c"]
_PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII | re.IGNORECASE)
_HOST_PART: Final = re.compile(r"^(?:(?:[0-9.]+|\[[0-9a-fA-F:.]+\]):)?[0-9-]*:")
"""Of `[[IP:]HOST_PORT:]PORT`, which counts for nothing here."""
_MOST_PORT: Final = 65535
_DURATION: Final = re.compile(r"(?:\d{1,18}(?:\.\d{1,18})?(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_NS: Final = {
    **{"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9},
    **{"m": 60 * 10**9, "h": 3600 * 10**9},
}
_LEAST_INTERVAL_NS: Final = 10**6
_DURATIONS: Final = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}

Setting = Callable[[Config, Instruction, Words], None]


def environment(config: Mapping[str, Any]) -> dict[str, str]:
    """The configuration's variables by name."""
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or ())


def pairs(instruction: Instruction, words: Words) -> list[tuple[str, str]]:
    """Of ENV and LABEL. Raises DockerfileError."""
    if not instruction.args:
        raise DockerfileError(
            f"{instruction.name} requires at least one argument", instruction.line
        )
    found = []
    for key, value in zip(instruction.args[::3], instruction.args[1::3], strict=True):
        name = words.word(key)
        if not name:
            raise DockerfileError(f"{instruction.name} names can not be blank", instruction.line)
        found.append((name, words.word(value)))
    return found


def _env(config: Config, instruction: Instruction, words: Words) -> None:
    known = environment(config) | dict(pairs(instruction, words))
    config["Env"] = [f"{key}={value}" for key, value in known.items()]


def _label(config: Config, instruction: Instruction, words: Words) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(pairs(instruction, words))}


def _one(instruction: Instruction) -> str:
    if len(instruction.args) != 1:
        raise DockerfileError(f"{instruction.name} requires exactly one argument", instruction.line)
    return instruction.args[0]


def _user(config: Config, instruction: Instruction, words: Words) -> None:
    config["User"] = words.word(_one(instruction))


def _stop_signal(config: Config, instruction: Instruction, words: Words) -> None:
    name = words.word(_one(instruction))
    number = int(name) if name.isascii() and name.isdigit() else 0
    known = {each.name for each in signal.Signals}
    if not 0 < number <= signal.SIGRTMAX and f"SIG{name.upper().removeprefix('SIG')}" not in known:
        raise DockerfileError(f"Invalid signal: {name}", instruction.line)
    config["StopSignal"] = name


def _program(config: Config, instruction: Instruction) -> list[str]:
    if instruction.is_json:
        return list(instruction.args)
    return [*(config.get("Shell") or DEFAULT_SHELL), *instruction.args]


def _cmd(config: Config, instruction: Instruction, words: Words) -> None:
    config["Cmd"] = _program(config, instruction)


def _entrypoint(config: Config, instruction: Instruction, words: Words) -> None:
    config["Entrypoint"] = _program(config, instruction)


def _shell(config: Config, instruction: Instruction, words: Words) -> None:
    if not instruction.is_json or not instruction.args:
        raise DockerfileError("SHELL requires the arguments to be in JSON form", instruction.line)
    config["Shell"] = list(instruction.args)


def _expose(config: Config, instruction: Instruction, words: Words) -> None:
    if not instruction.args:
        raise DockerfileError("EXPOSE requires at least one argument", instruction.line)
    ports = dict(config.get("ExposedPorts") or {})
    for word in (each for text in instruction.args for each in words.words(text)):
        match = _PORT.fullmatch(_HOST_PART.sub("", word))
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or not 0 < low <= high <= _MOST_PORT:
            raise DockerfileError(f"invalid containerPort: {word}", instruction.line)
        protocol = (match[3] or "tcp").lower()
        ports |= {f"{number}/{protocol}": {} for number in range(low, high + 1)}
    config["ExposedPorts"] = ports


def _volume(config: Config, instruction: Instruction, words: Words) -> None:
    paths = [words.word(text) for text in instruction.args]
    if not paths:
        raise DockerfileError("VOLUME requires at least one argument", instruction.line)
    if not all(path.strip() for path in paths):
        raise DockerfileError("VOLUME specified can not be an empty string", instruction.line)
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _on_build(config: Config, instruction: Instruction, words: Words) -> None:
    assert instruction.trigger is not None
    flags_of(instruction.trigger)
    config["OnBuild"] = [*(config.get("OnBuild") or ()), instruction.trigger.original]


def _health_check(config: Config, instruction: Instruction, words: Words) -> None:
    line = instruction.line
    flags = flags_of(instruction)
    if not instruction.args:
        raise DockerfileError("HEALTHCHECK requires at least one argument", line)
    kind, *command = instruction.args
    if kind.upper() == "NONE":
        if command or flags:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments", line)
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if kind.upper() != "CMD":
        raise DockerfileError(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)', line)
    if not command:
        raise DockerfileError("Missing command after HEALTHCHECK CMD", line)
    check: dict[str, Any] = {"Test": ["CMD" if instruction.is_json else "CMD-SHELL", *command]}
    for name, key in _DURATIONS.items():
        if name in flags and (value := _ns(name, flags[name][0], line)):
            check[key] = value
    if "retries" in flags:
        check["Retries"] = _retries(flags["retries"][0], line)
    config["Healthcheck"] = check


def _retries(text: str, line: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise DockerfileError(f"--retries: not a number: {text}", line)
    return int(text)


def _ns(name: str, text: str, line: int) -> int:
    if not _DURATION.fullmatch(text) and text != "0":
        raise DockerfileError(f'--{name}: invalid duration "{text}"', line)
    value = round(sum(float(number) * _NS[unit] for number, unit in _PART.findall(text)))
    if 0 < value < _LEAST_INTERVAL_NS:
        raise DockerfileError(f"--{name}: cannot be less than 1ms", line)
    return value


SETTINGS: Final[Mapping[str, Setting]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _health_check,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
}
