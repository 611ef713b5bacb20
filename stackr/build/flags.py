"""The flags of an instruction, `--name=value`, each known by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stackr.build.dockerfile import Instruction
from stackr.build.errors import DockerfileError, UnsupportedInstruction, nearest

__all__ = ["Flags", "flags_of"]

_BOOLEAN: Final = frozenset({"link", "parents", "keep-git-dir"})
_REPEATED: Final = frozenset({"mount", "exclude"})
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "FROM": frozenset({"platform"}),
    "RUN": frozenset({"mount", "network", "security"}),
    "COPY": frozenset({"from", "chown", "chmod", "link", "exclude", "parents"}),
    "ADD": frozenset({"chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "start-interval", "retries"}),
}
_UNSUPPORTED: Final = {("RUN", "security"): "RUN --security", ("ADD", "unpack"): "ADD --unpack"}

Flags = Mapping[str, list[str]]
"""Name -> its values in order; a boolean one is "true" or "false"."""


def flags_of(instruction: Instruction) -> Flags:
    """Raises DockerfileError for an unknown, a repeated or an empty one; UnsupportedInstruction."""
    known = _KNOWN.get(instruction.name, frozenset())
    found: dict[str, list[str]] = {}
    for text in instruction.flags:
        name, equals, value = text.removeprefix("--").partition("=")
        if name not in known:
            near = nearest(name, known)
            raise DockerfileError(f"unknown flag: --{name}{near}", instruction.line)
        if (instruction.name, name) in _UNSUPPORTED:
            raise UnsupportedInstruction(_UNSUPPORTED[instruction.name, name], instruction.line)
        if name in _BOOLEAN:
            value = _boolean(name, value if equals else "true", instruction.line)
        elif not equals:
            raise DockerfileError(f"missing a value on flag: --{name}", instruction.line)
        if name in found and name not in _REPEATED:
            raise DockerfileError(f"duplicate flag specified: --{name}", instruction.line)
        found.setdefault(name, []).append(value)
    return found


def _boolean(name: str, value: str, line: int) -> str:
    if value.lower() not in ("true", "false"):
        raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}", line)
    return value.lower()
