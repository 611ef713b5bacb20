"""What each command was asked for: argv as frozen dataclasses, checked, with nothing read or run.

Texts of `SERVICE=NUM`, moments and signals are parsed here and travel as typed values.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from stackr.cli.targets import Targets, split_targets
from stackr.errors import InvalidArgument

__all__ = [
    "AttachArguments",
    "CommitArguments",
    "CopyArguments",
    "CopyPlace",
    "DownArguments",
    "EventsArguments",
    "ExecArguments",
    "LogsArguments",
    "PsArguments",
    "RunArguments",
    "StatsArguments",
    "Targets",
    "UpArguments",
    "check_choice",
    "is_set",
    "parse_moment",
    "parse_parallel",
    "parse_pull",
    "parse_rmi",
    "parse_scale",
    "parse_signal",
    "parse_span",
    "parse_tail",
    "split_targets",
]


@dataclass(frozen=True, slots=True)
class UpArguments:
    """`stackr up`. Times are in seconds; None is the stack's own or no limit.

    attach: these services' output only; empty is all of them. ttl_s: after which the engine takes
    the stack down.
    """

    targets: Targets = field(default_factory=Targets)
    detach: bool = False
    wait: bool = False
    wait_timeout_s: float | None = None
    timeout_s: float | None = None
    scale: dict[str, int] = field(default_factory=dict)
    force_recreate: bool = False
    no_recreate: bool = False
    always_recreate_deps: bool = False
    renew_anonymous_volumes: bool = False
    remove_orphans: bool = False
    pull: Literal["always", "missing", "never"] | None = None
    no_deps: bool = False
    no_start: bool = False
    atomic: bool = False
    abort_on_exit: bool = False
    abort_on_failure: bool = False
    exit_code_from: str | None = None
    attach: tuple[str, ...] = ()
    attach_dependencies: bool = False
    no_attach: tuple[str, ...] = ()
    watch: bool = False
    log_prefix: bool = True
    timestamps: bool = False
    ttl_s: float | None = None

    def __post_init__(self) -> None:
        """Raises InvalidArgument for options that contradict each other."""
        for first, second in (
            ("force_recreate", "no_recreate"),
            ("always_recreate_deps", "no_recreate"),
            ("detach", "abort_on_exit"),
            ("detach", "abort_on_failure"),
            ("wait", "abort_on_exit"),
            ("wait", "abort_on_failure"),
            ("abort_on_exit", "abort_on_failure"),
            ("detach", "attach"),
            ("detach", "attach_dependencies"),
            ("wait", "attach_dependencies"),
            ("attach", "attach_dependencies"),
            ("wait", "no_start"),
            ("atomic", "no_start"),
            ("atomic", "abort_on_exit"),
            ("atomic", "abort_on_failure"),
            ("detach", "watch"),
            ("wait", "watch"),
            ("no_start", "watch"),
            ("abort_on_exit", "watch"),
            ("abort_on_failure", "watch"),
            ("exit_code_from", "watch"),
        ):
            if getattr(self, first) and getattr(self, second):
                raise InvalidArgument(
                    f"up: {_SPELLING[first]} and {_SPELLING[second]} cannot be combined"
                )
        if self.wait_timeout_s is not None and not (self.wait or self.atomic):
            raise InvalidArgument("up: --wait-timeout needs --wait or --atomic")
        if self.ttl_s is not None and self.is_attached:
            raise InvalidArgument("up: --ttl needs --detach or --wait")
        check_not_negative("--timeout", self.timeout_s)
        check_not_negative("--wait-timeout", self.wait_timeout_s)

    @property
    def is_attached(self) -> bool:
        return not (self.detach or self.wait or self.no_start)


_SPELLING = {
    "force_recreate": "--force-recreate",
    "no_recreate": "--no-recreate",
    "always_recreate_deps": "--always-recreate-deps",
    "detach": "--detach",
    "wait": "--wait",
    "no_start": "--no-start",
    "atomic": "--atomic",
    "attach": "--attach",
    "attach_dependencies": "--attach-dependencies",
    "watch": "--watch",
    "abort_on_exit": "--abort-on-container-exit",
    "abort_on_failure": "--abort-on-container-failure",
    "exit_code_from": "--exit-code-from",
}


@dataclass(frozen=True, slots=True)
class DownArguments:
    """`stackr down`. remove_images: None, "local" (those without a registry's name) or "all"."""

    targets: Targets = field(default_factory=Targets)
    volumes: bool = False
    remove_orphans: bool = False
    timeout_s: float | None = None
    remove_images: Literal["all", "local"] | None = None

    def __post_init__(self) -> None:
        check_not_negative("--timeout", self.timeout_s)


@dataclass(frozen=True, slots=True)
class LogsArguments:
    """`stackr logs`. tail: lines of each container, None for all; since, until: Unix seconds."""

    targets: Targets = field(default_factory=Targets)
    follow: bool = False
    tail: int | None = None
    since: float | None = None
    until: float | None = None
    timestamps: bool = False
    prefix: bool = True
    index: int | None = None


@dataclass(frozen=True, slots=True)
class ExecArguments:
    """`stackr exec`. environment: `KEY=VALUE`, or `KEY` for the caller's own value."""

    service: str
    command: tuple[str, ...]
    detach: bool = False
    environment: tuple[str, ...] = ()
    index: int | None = None
    privileged: bool = False
    tty: bool = True
    stdin: bool = True
    user: str | None = None
    working_dir: str | None = None


@dataclass(frozen=True, slots=True)
class RunArguments:
    """`stackr run`, with its texts as they were given. command, entrypoint: None for its own."""

    service: str
    command: tuple[str, ...] | None = None
    detach: bool = False
    auto_remove: bool = False
    name: str = ""
    entrypoint: str | None = None
    environment: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    service_ports: bool = False
    use_aliases: bool = False
    user: str | None = None
    working_dir: str | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = True
    no_deps: bool = False
    pull: Literal["always", "missing", "never"] | None = None
    remove_orphans: bool = False

    def __post_init__(self) -> None:
        if self.service_ports and self.ports:
            raise InvalidArgument("run: --service-ports and --publish cannot be combined")


@dataclass(frozen=True, slots=True)
class AttachArguments:
    """`stackr attach`. detach_keys: the bytes of the sequence."""

    service: str
    index: int | None = None
    stdin: bool = True
    forwards_signals: bool = True
    detach_keys: bytes = b""


@dataclass(frozen=True, slots=True)
class PsArguments:
    """`stackr ps`. all: stopped ones and those of `run` too. states: only these; () for any."""

    targets: Targets = field(default_factory=Targets)
    all: bool = False
    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventsArguments:
    """`stackr events`. since, until: Unix seconds."""

    targets: Targets = field(default_factory=Targets)
    json: bool = False
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class StatsArguments:
    """`stackr stats`. all: stopped containers too. whole: nothing is cut."""

    targets: Targets = field(default_factory=Targets)
    all: bool = False
    is_once: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class CopyPlace:
    """One side of a copy. service: "" for this host."""

    service: str
    path: str

    @classmethod
    def parse(cls, text: str) -> CopyPlace:
        """`web:/etc/hosts`, or a local path: absolute ones and those with a dot in front."""
        service, colon, path = text.partition(":")
        if not colon or text.startswith(("/", ".")):
            return cls("", text)
        return cls(service, path)


@dataclass(frozen=True, slots=True)
class CopyArguments:
    """`stackr cp`. all: containers of `run` too. as_user: owned by the container's user."""

    source: CopyPlace
    target: CopyPlace
    all: bool = False
    as_user: bool = False
    follows_link: bool = False
    index: int | None = None

    def __post_init__(self) -> None:
        if self.source.service and self.target.service:
            raise InvalidArgument("cp: copying between services is not supported")
        if not (self.source.service or self.target.service):
            raise InvalidArgument(
                "cp: unknown copy direction", hint="one side has to be SERVICE:PATH"
            )
        for place in (self.source, self.target):
            if not place.path:
                raise InvalidArgument(f"cp: {place.service}: a path is expected behind the colon")

    @property
    def is_upload(self) -> bool:
        return bool(self.target.service)

    @property
    def service(self) -> str:
        return self.target.service or self.source.service


@dataclass(frozen=True, slots=True)
class CommitArguments:
    """`stackr commit`. image: `REPOSITORY[:TAG]`, or "" for none."""

    service: str
    image: str = ""
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    pause: bool = True
    index: int | None = None

    @property
    def repository_and_tag(self) -> tuple[str, str]:
        """A colon behind the last slash is before a tag; one in front of it, before a port."""
        repository, colon, tag = self.image.rpartition(":")
        return (repository, tag) if colon and "/" not in tag else (self.image, "")


def parse_scale(words: Sequence[str] | None, *, option: str = "--scale") -> dict[str, int]:
    """`["web=3"]` as `{"web": 3}`. Raises InvalidArgument for another form or a negative number."""
    scale = {}
    for word in words or ():
        service, equals, number = word.partition("=")
        if not service or not equals or not number.isascii() or not number.isdigit():
            raise InvalidArgument(f'{option}: "{word}": SERVICE=NUM is expected')
        scale[service] = int(number)
    return scale


def parse_tail(text: str) -> int | None:
    """Lines to show; None for `all`."""
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit():
        raise InvalidArgument(f'--tail: "{text}": a number of lines or "all" is expected')
    return int(text)


_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_UNIX = re.compile(r"\d+(?:\.\d+)?")


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
    from stackr.spec.units import parse_duration

    try:
        seconds = float(text) if _UNIX.fullmatch(text) else parse_duration(text) / 1e9
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise InvalidArgument(f'{option}: "{text}": a duration is expected, such as 90s or 1h30m')
    return seconds or None


def parse_signal(text: str) -> str:
    """A signal's name with its SIG, or its number as text. Raises InvalidArgument if none is so."""
    if text.isascii() and text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
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


def check_not_negative(option: str, value: float | None) -> None:
    """Raises InvalidArgument for a time before now."""
    if value is not None and value < 0:
        raise InvalidArgument(f"{option}: {value:g}: a time of 0 or more seconds is expected")
