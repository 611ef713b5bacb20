"""Which of the shared options mean something to which command; the others are refused.

An option that changes nothing would be taken for one that does: `ps --dry-run`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackr.cli.registry import NO_JSON
from stackr.errors import NotSupported

__all__ = ["check_applicable", "meaningless"]

_COPY = frozenset(("isolated", "isolated_name"))
_NO_STACK = frozenset(("ls", "engine", "image", "completion", "version", "doctor"))
_GROUPS = frozenset(("engine", "image"))
_LOOKING = frozenset(
    (
        *("ps", "logs", "images", "volumes", "top", "stats", "events", "port", "ls", "history"),
        "env",
        *("config", "explain", "graph", "diff", "completion", "version", "doctor"),
    )
)
_CHANGING = frozenset(
    (
        *("up", "create", "scale", "apply", "rollback", "down", "pull", "push", "build", "start"),
        *("stop", "restart", "pause", "unpause", "kill", "rm", "run", "watch", "test", "wait"),
    )
)
_WHOLE = frozenset(
    (
        *("up", "create", "scale", "apply", "rollback", "down", "pull", "push", "build", "run"),
        *("watch", "test", "config", "diff", "graph"),
    )
)
_JOINED = frozenset(("exec", "attach"))
_COPYING = frozenset(("cp", "export", "commit"))

_REASONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("files", "project_name", "project_directory", "profiles", "env_files"),
        "it is about no single stack",
    ),
    **dict.fromkeys(_COPY, "it is about no stack that is up"),
    "engine": "it asks no engine",
    "progress": "it shows no progress",
    "dry_run": "it changes nothing",
    "parallel": "it makes no calls side by side",
    "all_resources": "it does not go by the file's networks and volumes",
    "ansi": "its output has no colours",
    "no_color": "its output has no colours",
}
_NOT_ON_A_SCREEN: Mapping[str, str] = {
    "progress": "it has a screen of its own",
    "dry_run": "it asks before each change",
    "parallel": "its changes keep to the usual number",
}


def meaningless(command: str) -> frozenset[str]:
    """The shared options, by their fields, that mean nothing to a command of the registry.

    Of commands that are not listed here, none.
    """
    names: set[str] = {"json"} if command in NO_JSON else set()
    if command in _NO_STACK:
        names |= {"files", "project_name", "project_directory", "profiles", "env_files", *_COPY}
    if command in (
        "test",
        "config",
        "explain",
        "container",
        "network",
        "volume",
        "inspect",
        "system",
    ):
        names |= _COPY
    if command in ("config", "explain", "completion", "engine", "doctor"):
        names.add("engine")
    if command in _LOOKING | _JOINED | _GROUPS:
        names.add("progress")
    if command in _LOOKING | _GROUPS | {"test"}:
        names.add("dry_run")
    if command in _LOOKING | _JOINED | _GROUPS | _COPYING:
        names.add("parallel")
    if command in (_LOOKING | _CHANGING | _JOINED | _GROUPS | _COPYING) - _WHOLE:
        names.add("all_resources")
    if command == "ui":
        names |= _NOT_ON_A_SCREEN.keys()
    if command in ("completion", "engine"):
        names |= {"ansi", "no_color"}
    return frozenset(names)


def check_applicable(command: str, given: Iterable[tuple[str, Any]]) -> None:
    """Raises NotSupported for a shared option that was given and means nothing to the command.

    command: its words, `engine logs`. given: the spelling of each option, and its field.
    """
    refused = meaningless(command.partition(" ")[0]) | ({"json"} if command in NO_JSON else set())
    for spelling, name in given:
        if name in refused:
            raise NotSupported(f"{command}: {spelling}: not supported: {_reason(command, name)}")


def _reason(command: str, name: str) -> str:
    if name == "json":
        return NO_JSON[command]
    if name in _COPY and command == "test":
        return "a test's copy is isolated in any case"
    if name == "dry_run" and command == "test":
        return "what it makes, it takes away; diff shows the plan"
    if command == "ui" and name in _NOT_ON_A_SCREEN:
        return _NOT_ON_A_SCREEN[name]
    if name == "dry_run" and command.partition(" ")[0] in _GROUPS:
        return "it is done at once, without a plan"
    return _REASONS[name]
