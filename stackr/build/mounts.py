"""`RUN --mount=type=...`: a list of `key=value` in CSV -> what is mounted during the step.

Source: moby/buildkit, frontend/dockerfile/instructions/commands_runmount.go.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stackr.build.dockerfile import Instruction
from stackr.build.errors import DockerfileError, UnsupportedInstruction, nearest

__all__ = ["RunMount", "mounts_of"]

_TYPES: Final = ("bind", "cache", "secret", "ssh", "tmpfs")
_ALLOWED: Final = {
    "bind": {"target", "source", "from", "readwrite"},
    "cache": {"id", "target", "readonly", "sharing", "from", "source", "mode", "uid", "gid"},
    "secret": {"id", "target", "required", "mode", "uid", "gid", "env"},
    "ssh": {"id", "target", "required", "mode", "uid", "gid"},
    "tmpfs": {"target", "size"},
}
_ALIASES: Final = {
    **dict.fromkeys(("dst", "destination"), "target"),
    **dict.fromkeys(("src",), "source"),
    **dict.fromkeys(("ro",), "readonly"),
    **dict.fromkeys(("rw",), "readwrite"),
}
_BOOLEANS: Final = frozenset({"readonly", "readwrite", "required"})
_SIZE: Final = re.compile(r"([0-9]{1,15})([kmgt]?)b?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class RunMount:
    """target: absolute or below the working directory; "" for a default or none.

    source_image: of `from`, a stage, an image or a named context; "" for the build's context.
    mode, uid, gid: None where not said. size: in bytes, 0 for no limit.
    """

    type: str
    target: str = ""
    source: str = ""
    source_image: str = ""
    id: str = ""
    sharing: str = "shared"
    read_only: bool = True
    required: bool = False
    env: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0


def mounts_of(
    instruction: Instruction, expand: Callable[[str], str] = lambda text: text
) -> list[RunMount]:
    """The mounts of a RUN. expand: puts variables into target, source and id.

    Raises DockerfileError, UnsupportedInstruction.
    """
    return [
        _parse(flag.removeprefix("--mount="), instruction.line, expand)
        for flag in instruction.flags
        if flag.startswith("--mount=")
    ]


def _parse(text: str, line: int, expand: Callable[[str], str]) -> RunMount:
    fields = _fields(text, line)
    kind = fields.pop("type", "bind").lower()
    if kind not in _TYPES:
        raise DockerfileError(f'unsupported mount type "{kind}"{nearest(kind, _TYPES)}', line)
    if kind == "cache" and "readwrite" in fields:
        fields["readonly"] = "false" if _flag(fields, "readwrite", line) else "true"
        del fields["readwrite"]
    if kind == "bind" and "readonly" in fields:
        fields.setdefault("readwrite", "false" if _flag(fields, "readonly", line) else "true")
        del fields["readonly"]
    for key in fields:
        if key not in _ALLOWED[kind]:
            near = nearest(key, _ALLOWED[kind])
            raise DockerfileError(f"unexpected key '{key}' for mount type '{kind}'{near}", line)
    expanded = {key: expand(fields[key]) for key in ("target", "source", "id") if key in fields}
    return _checked(_mount(kind, fields | expanded, line), line)


def _fields(text: str, line: int) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in next(csv.reader([text]), []):
        key, equals, value = part.partition("=")
        key = _ALIASES.get(key.lower(), key.lower())
        if not equals:
            if key not in _BOOLEANS:
                raise DockerfileError(f"invalid field '{part}' must be a key=value pair", line)
            value = "true"
        fields[key] = value
    return fields


def _mount(kind: str, fields: dict[str, str], line: int) -> RunMount:
    read_only = _flag(fields, "readonly", line)
    if kind == "bind":
        read_only = not _flag(fields, "readwrite", line)
    return RunMount(
        kind,
        target=fields.get("target", ""),
        source=fields.get("source", ""),
        source_image=fields.get("from", ""),
        id=fields.get("id", ""),
        sharing=fields.get("sharing", "shared").lower(),
        read_only=read_only,
        required=_flag(fields, "required", line),
        env=fields.get("env", ""),
        mode=_number(fields, "mode", 8, line),
        uid=_number(fields, "uid", 10, line),
        gid=_number(fields, "gid", 10, line),
        size=_size(fields.get("size", ""), line),
    )


def _checked(mount: RunMount, line: int) -> RunMount:
    if mount.sharing not in ("shared", "private", "locked"):
        raise DockerfileError(f'unsupported sharing value "{mount.sharing}"', line)
    if mount.type in ("bind", "cache", "tmpfs") and not mount.target:
        raise DockerfileError("target is required", line)
    if mount.type == "cache":
        return replace(mount, id=mount.id or posixpath.normpath(mount.target))
    if mount.type == "secret":
        return _checked_secret(mount, line)
    if mount.type == "ssh":
        if mount.uid or mount.gid or mount.mode not in (None, 0o600):
            raise UnsupportedInstruction("RUN --mount=type=ssh with mode, uid or gid", line)
        return replace(mount, id=mount.id or "default")
    return mount


def _checked_secret(mount: RunMount, line: int) -> RunMount:
    name = mount.id or posixpath.basename(mount.target) or mount.env
    if not name:
        raise DockerfileError("secret: id, target or env is required", line)
    target = mount.target
    if not target and not mount.env:
        target = f"/run/secrets/{posixpath.basename(name)}"
    return replace(mount, id=name, target=target)


def _flag(fields: dict[str, str], key: str, line: int) -> bool:
    value = fields.get(key, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise DockerfileError(f"invalid value for {key}: {value}", line)
    return value in ("true", "1")


def _number(fields: dict[str, str], key: str, base: int, line: int) -> int | None:
    if key not in fields:
        return None
    try:
        value = int(fields[key], base)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise DockerfileError(f"invalid value for {key}: {fields[key]}", line)
    return value


def _size(text: str, line: int) -> int:
    if not text:
        return 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise DockerfileError(f"invalid value for size: {text}", line)
    return int(match[1]) * _UNITS[match[2].lower()]
