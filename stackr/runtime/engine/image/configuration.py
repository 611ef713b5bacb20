"""What an image configuration says, checked before anything relies on it.

Source: OCI image-spec config.md.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from stackr.errors import InvalidArgument, NotSupported
from stackr.registry.digest import is_digest
from stackr.text import parse_json

__all__ = ["parse_config"]

_TIME_RE: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_KINDS: Final = {
    **dict.fromkeys(("User", "WorkingDir", "StopSignal", "Hostname", "Domainname"), "text"),
    **dict.fromkeys(("Cmd", "Entrypoint", "Env", "Shell", "OnBuild"), "texts"),
    **dict.fromkeys(("ExposedPorts", "Volumes", "Healthcheck"), "object"),
    "Labels": "labels",
}


def parse_config(raw: bytes, *, name: str) -> dict[str, Any]:
    """An image configuration whose `rootfs.diff_ids` and `config` can be relied on.

    Raises InvalidArgument, and NotSupported for another operating system than Linux.
    """
    try:
        config = parse_json(raw)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise InvalidArgument(f"image config of {name}: is not a JSON object")
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if diff_ids is None:
        diff_ids = []
    if not isinstance(diff_ids, list) or not all(
        isinstance(item, str) and is_digest(item) for item in diff_ids
    ):
        raise InvalidArgument(f"image config of {name}: malformed diff IDs")
    _check_defaults(config.get("config") or {}, name)
    history = config.get("history")
    steps = history if isinstance(history, list) else []
    for dated in (config, *(step for step in steps if isinstance(step, dict))):
        if not _is_time(dated.get("created")):
            raise InvalidArgument(f"image config of {name}: malformed time of creation")
    if config.get("os") not in ("linux", "", None):
        raise NotSupported(
            f'image operating system "{config["os"]}" cannot be used on this platform'
        )
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    return config


def _check_defaults(defaults: object, name: str) -> None:
    """What an image says of the containers made from it: absent, null, or of the right type."""
    if not isinstance(defaults, dict):
        raise InvalidArgument(f"image config of {name}: malformed config")
    for key, value in defaults.items():
        if value is not None and not _is_of_kind(value, _KINDS.get(key)):
            raise InvalidArgument(f"image config of {name}: malformed config: {key}")


def _is_time(value: object) -> bool:
    """Whether `value` is absent, or RFC 3339 and of a day that exists."""
    if value is None or value == "":
        return True
    match = _TIME_RE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return False
    try:
        datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def _is_of_kind(value: object, kind: str | None) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "texts":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "labels":
            return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        case "object":
            return isinstance(value, dict)
        case _:
            return True
