"""`SecurityOpt`: what each entry asks for. Source: Docker's `docker run --security-opt`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stackr.errors import InvalidArgument

__all__ = ["SecurityOptions", "parse_security_options"]


@dataclass(frozen=True, slots=True)
class SecurityOptions:
    """seccomp: "" for the engine's, "builtin", "unconfined", or a profile's JSON.

    apparmor: the name of a profile that the host has loaded, "" for none.
    """

    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""


def parse_security_options(entries: Sequence[str]) -> SecurityOptions:
    """Raises InvalidArgument, with Docker's text, for an unknown entry.

    Labels are SELinux's: as dockerd without it, the engine has no use for them.
    """
    options = SecurityOptions()
    for entry in entries:
        key, value = _split(entry)
        match key:
            case "no-new-privileges" if value in ("", "true", "false"):
                options = replace(options, no_new_privileges=value != "false")
            case "seccomp" if value:
                options = replace(options, seccomp=value)
            case "apparmor" if value:
                profile = "" if value == "unconfined" else value
                options = replace(options, apparmor=profile)
            case "label" if value:
                continue
            case _:
                raise InvalidArgument(f'invalid --security-opt 2: "{entry}"')
    return options


def _split(entry: str) -> tuple[str, str]:
    """ "key=value"; "key:value" is the older spelling."""
    separator = "=" if "=" in entry else ":"
    key, _, value = entry.partition(separator)
    return key, value
