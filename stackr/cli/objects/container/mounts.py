"""`--volume`, `--mount`, `--tmpfs` and `--device` as the Engine API takes them.

Source: docker/cli, opts/mount.go; cli/command/container/opts.go.
"""

from __future__ import annotations

import csv
import os
import posixpath
from collections.abc import Callable, Sequence
from typing import Any

from stackr.cli.objects.command import FlagError
from stackr.spec.short import parse_volume
from stackr.spec.units import parse_size

__all__ = ["binds", "csv_fields", "device", "is_cdi", "mount", "tmpfs"]

Json = dict[str, Any]
_SWITCHES = ("readonly", "ro", "volume-nocopy", "bind-create-src")
_RECURSIVE = {
    "enabled": "",
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}
_KINDS = ("bind", "volume", "tmpfs", "image")


def binds(texts: Sequence[str]) -> tuple[list[str], dict[str, Json]]:
    """Those that have a source, and the targets of anonymous volumes."""
    bound: list[str] = []
    anonymous: dict[str, Json] = {}
    for text in texts:
        try:
            parsed = parse_volume(text, any_option=True)
        except ValueError as error:
            raise FlagError(str(error)) from error
        if not parsed.get("source"):
            anonymous[text] = {}
            continue
        source, colon, rest = text.partition(":")
        if parsed["type"] == "bind" and source.startswith("."):
            source = os.path.abspath(source)
        bound.append(source + colon + rest)
    return list(dict.fromkeys(bound)), anonymous


def tmpfs(texts: Sequence[str]) -> dict[str, str]:
    """`/run:size=1m` as {"/run": "size=1m"}."""
    return {path: options for path, _, options in (text.partition(":") for text in texts)}


def csv_fields(text: str) -> list[str]:
    """The fields of one line, which may be quoted."""
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise FlagError(f'"{text}": {error}') from error


def mount(text: str) -> Json:
    """`type=bind,source=/a,target=/b,readonly`."""
    found: Json = {"Type": "volume"}
    try:
        if not text.strip():
            raise ValueError("value is empty")
        for field in csv_fields(text.strip()):
            _set(found, field)
        _check(found)
    except ValueError as error:
        raise FlagError(f'invalid argument "{text}" for "--mount" flag: {error}') from error
    return found


def _set(found: Json, field: str) -> None:
    key, equals, value = field.partition("=")
    if key != key.strip():
        raise ValueError(
            f"invalid option '{key.strip()}' in '{field}': option should not have whitespace"
        )
    key = key.lower()
    if not equals and key not in _SWITCHES:
        raise ValueError(f"invalid field '{field}' must be a key=value pair")
    if equals and value.strip() != value:
        raise ValueError(
            f"invalid value for '{key}' in '{field}': value should not have whitespace"
        )
    if equals and not value:
        raise ValueError(f"invalid value for '{key}': value is empty")
    if key not in _SETTERS:
        raise ValueError(f"unknown option '{key}' in '{field}'")
    _SETTERS[key](found, value)


def _source(found: Json, value: str) -> None:
    found["Source"] = os.path.abspath(value) if value.startswith(".") else value


def _into(*keys: str, read: Callable[[str], Any] = str) -> Callable[[Json, str], None]:
    def put(found: Json, value: str) -> None:
        for key in keys[:-1]:
            found = found.setdefault(key, {})
        found[keys[-1]] = read(value)

    return put


def _pair(*keys: str) -> Callable[[Json, str], None]:
    def put(found: Json, value: str) -> None:
        for key in keys:
            found = found.setdefault(key, {})
        name, _, text = value.partition("=")
        found[name] = text

    return put


def _switch(text: str) -> bool:
    if text in ("", "1", "true", "True", "TRUE", "t", "T"):
        return True
    if text in ("0", "false", "False", "FALSE", "f", "F"):
        return False
    raise ValueError(f"invalid value: {text}")


def _recursive(found: Json, value: str) -> None:
    if value not in _RECURSIVE:
        raise ValueError(
            f"invalid value for bind-recursive: {value} (must be"
            ' "enabled", "disabled", "writable", or "readonly")'
        )
    if _RECURSIVE[value]:
        found.setdefault("BindOptions", {})[_RECURSIVE[value]] = True


_SETTERS: dict[str, Callable[[Json, str], None]] = {
    "type": _into("Type", read=str.lower),
    **dict.fromkeys(("source", "src"), _source),
    **dict.fromkeys(("target", "dst", "destination"), _into("Target")),
    **dict.fromkeys(("readonly", "ro"), _into("ReadOnly", read=_switch)),
    "consistency": _into("Consistency", read=str.lower),
    "bind-propagation": _into("BindOptions", "Propagation", read=str.lower),
    "bind-recursive": _recursive,
    "bind-create-src": _into("BindOptions", "CreateMountpoint", read=_switch),
    "volume-subpath": _into("VolumeOptions", "Subpath"),
    "volume-nocopy": _into("VolumeOptions", "NoCopy", read=_switch),
    "volume-label": _pair("VolumeOptions", "Labels"),
    "volume-driver": _into("VolumeOptions", "DriverConfig", "Name"),
    "volume-opt": _pair("VolumeOptions", "DriverConfig", "Options"),
    "image-subpath": _into("ImageOptions", "Subpath"),
    "tmpfs-size": _into("TmpfsOptions", "SizeBytes", read=parse_size),
    "tmpfs-mode": _into("TmpfsOptions", "Mode", read=lambda text: int(text, 8)),
}


def _check(found: Json) -> None:
    kind = found["Type"]
    if not kind:
        raise ValueError("type is required")
    if not found.get("Target"):
        raise ValueError("target is required")
    for each in _KINDS:
        if f"{each.capitalize()}Options" in found and each != kind:
            raise ValueError(f"cannot mix '{each}-*' options with mount type '{kind}'")


def device(text: str) -> Json:
    """`/dev/a[:/dev/b][:rwm]`."""
    parts = text.split(":")
    is_mode = len(parts) == 2 and _is_mode(parts[1])
    target = parts[0] if len(parts) == 1 or is_mode else parts[1]
    mode = parts[-1] if is_mode or len(parts) == 3 else "rwm"
    if len(parts) > 3 or not parts[0]:
        raise FlagError(f"bad format for path: {text}")
    if not _is_mode(mode):
        raise FlagError(f"bad mode specified: {mode}")
    if not target.startswith("/"):
        raise FlagError(f"{target} is not an absolute path")
    clean = posixpath.normpath(target)
    source = clean if len(parts) == 1 or is_mode else parts[0]
    return {"PathOnHost": source, "PathInContainer": clean, "CgroupPermissions": mode}


def _is_mode(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def is_cdi(text: str) -> bool:
    """`vendor.com/class=name`: a device by its name, not by a path."""
    kind, equals, name = text.partition("=")
    return bool(equals and name) and not text.startswith("/") and kind.count("/") == 1
