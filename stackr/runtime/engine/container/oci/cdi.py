"""Devices by the Container Device Interface: what a vendor's files say of them, put into a bundle.

A file of /etc/cdi or /var/run/cdi describes the devices of one kind ("vendor.com/class"), each with
device nodes, mounts, variables and hooks. Source: the CDI specification 1.0, SPEC.md.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from stackr.errors import Internal, InvalidArgument
from stackr.runtime.engine.container.oci.devices import allow, node_of
from stackr.runtime.engine.container.settings.spec import DeviceRequest

__all__ = ["FOLDERS", "apply_devices", "device_names"]

FOLDERS: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Of the same device, the later folder's counts."""
_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+=[\w.:-]+")
_GPU: Final = "nvidia.com/gpu"
_MOST_BYTES: Final = 4 << 20
_HOOKS: Final = frozenset(
    (
        *("prestart", "createRuntime", "createContainer"),
        *("startContainer", "poststart", "poststop"),
    )
)


def device_names(requests: Iterable[DeviceRequest]) -> list[str]:
    """ "vendor.com/class=name", of `--device` and of `--gpus`.

    Raises InvalidArgument, with Docker's text, for what only a driver of Docker's could give.
    """
    found: list[str] = []
    for request in requests:
        if request.driver == "cdi":
            found += request.device_ids
        elif request.driver in ("", "nvidia") and ["gpu"] in [
            [word for word in words if word == "gpu"] for words in request.capabilities
        ]:
            count = request.count
            ids = request.device_ids or (["all"] if count < 0 else map(str, range(count)))
            found += [f"{_GPU}={id}" for id in ids]
        else:
            wanted = " ".join(f"[{' '.join(words)}]" for words in request.capabilities)
            raise InvalidArgument(
                f'could not select device driver "{request.driver}" with capabilities: [{wanted}]'
            )
    for name in found:
        if not _NAME.fullmatch(name):
            raise InvalidArgument(f"invalid CDI device name {name}: expected vendor/class=name")
    return list(dict.fromkeys(found))


def apply_devices(
    config: dict[str, Any], names: Sequence[str], folders: Sequence[Path] = FOLDERS
) -> None:
    """Change a `config.json` as the devices ask.

    Raises Internal, with Docker's text, where one is not known; InvalidArgument for a file that is
    malformed.
    """
    if not names:
        return
    known, common = _read(folders)
    missing = [name for name in names if name not in known]
    if missing and all(name.startswith(f"{_GPU}=") for name in missing):
        raise Internal('could not select device driver "" with capabilities: [[gpu]]')
    if missing:
        raise Internal(
            f"CDI device injection failed: unresolvable CDI devices {', '.join(missing)}"
        )
    for kind in dict.fromkeys(name.partition("=")[0] for name in names):
        for edits in common.get(kind, ()):
            _edit(config, edits)
    for name in names:
        _edit(config, known[name])


def _read(
    folders: Sequence[Path],
) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Edits by device, and those that all devices of a kind share."""
    known: dict[str, dict[str, Any]] = {}
    common: dict[str, list[dict[str, Any]]] = {}
    for folder in folders:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in files:
            if path.suffix not in (".json", ".yaml", ".yml"):
                continue
            spec = _parsed(path)
            kind = str(spec.get("kind", ""))
            common.setdefault(kind, []).append(_object(spec.get("containerEdits"), path))
            for device in spec.get("devices") or []:
                name = f"{kind}={_object(device, path).get('name')}"
                known[name] = _object(device.get("containerEdits"), path)
    return known, common


def _parsed(path: Path) -> dict[str, Any]:
    import yaml  # for those who use such devices alone

    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"longer than {_MOST_BYTES} bytes")
        value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InvalidArgument(f"CDI: {path}: {' '.join(str(error).split())[:200]}") from error
    return _object(value, path)


def _object(value: Any, path: Path) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"CDI: {path}: expected an object")
    return value


def _edit(config: dict[str, Any], edits: dict[str, Any]) -> None:
    process = config["process"]
    try:
        for entry in edits.get("env") or []:
            name = str(entry).partition("=")[0]
            kept = [each for each in process["env"] if each.partition("=")[0] != name]
            process["env"] = [*kept, str(entry)]
        for node in edits.get("deviceNodes") or []:
            _add_node(config["linux"], node)
        for mount in edits.get("mounts") or []:
            config["mounts"].append(_mount(mount))
        for hook in edits.get("hooks") or []:
            _add_hook(config, hook)
        groups = [int(number) for number in edits.get("additionalGids") or [] if number]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidArgument(f"CDI: malformed containerEdits: {error!r}") from error
    user = process["user"]
    user["additionalGids"] = [*dict.fromkeys((*user.get("additionalGids", ()), *groups))]


def _add_node(linux: dict[str, Any], asked: dict[str, Any]) -> None:
    target = str(asked["path"])
    found = node_of(Path(str(asked.get("hostPath") or target)), target)
    if found is None and not {"type", "major"} <= asked.keys():
        raise InvalidArgument(f"CDI: {asked.get('hostPath') or target}: not a device node")
    node = {**(found or {}), "path": target}
    for key in ("type", "major", "minor", "fileMode", "uid", "gid"):
        if asked.get(key) is not None:
            node[key] = asked[key]
    linux["devices"] = [each for each in linux["devices"] if each["path"] != target] + [node]
    access = str(asked.get("permissions") or "rwm")
    rule = allow(str(node["type"]), int(node["major"]), int(node.get("minor", 0)), access)
    linux["resources"]["devices"].append(rule)


def _mount(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "destination": str(asked["containerPath"]),
        "source": os.path.abspath(str(asked["hostPath"])),
        "type": str(asked.get("type") or "bind"),
        "options": [str(option) for option in asked.get("options") or ["rbind", "ro", "nosuid"]],
    }


def _add_hook(config: dict[str, Any], asked: dict[str, Any]) -> None:
    name = str(asked["hookName"])
    if name not in _HOOKS:
        raise ValueError(f"hook {name}")
    hook = {key: asked[key] for key in ("path", "args", "env", "timeout") if key in asked}
    config.setdefault("hooks", {}).setdefault(name, []).append(hook)
