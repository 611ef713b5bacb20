"""Containers whose records are lost: found again by what their bundles and monitors say.

A running container's bundle, which is on another file system than the records, has a copy of all
that the engine must know to own it: its own record, and those of its snapshot, image, networks and
volumes. A container without even that is left running.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeGuard

from stackr.errors import StackrError
from stackr.registry.reference import parse_reference
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.records.record import CONTAINER, Running
from stackr.runtime.engine.journal import Key, document_lines, read_lines
from stackr.runtime.engine.linux import cgroup
from stackr.runtime.engine.linux.process import boot_id, start_ticks
from stackr.runtime.engine.records import VERSION_FIELD, NewerRecord
from stackr.runtime.engine.state import MALFORMED, Document, State

__all__ = [
    "ID_LENGTH",
    "BundleRecords",
    "bundle_ids",
    "is_readable",
    "monitors",
    "restore_records",
    "running_without_record",
]

ID_LENGTH = 64

_FILE = "records"
_PASSING = ("state", "intent", "restart_count", "manually_stopped")
_log = logging.getLogger(__name__)


class BundleRecords:
    """Keeps the copies in the bundles up to date."""

    def __init__(self, config: EngineConfig, state: State) -> None:
        self._bundles = config.bundles_root
        self._state = state
        self._kept: dict[str, str] = {}

    def keep(self, id: str, document: Document) -> None:
        """Note the record of a running container, where more than its state has changed."""
        lasting = {key: value for key, value in document.items() if key not in _PASSING}
        text = json.dumps(lasting)
        if self._kept.get(id) == text:
            return
        documents = self._state.documents(_keys(self._state, id, document))
        file = self._bundles / id / _FILE
        new = file.with_suffix(".new")
        try:
            new.touch(mode=0o600)
            new.write_bytes(document_lines(documents))
            new.replace(file)
        except OSError as error:
            _log.warning("container %s: its record is not kept twice: %s", id[:12], error)
            return
        self._kept[id] = text

    def drop(self, id: str) -> None:
        """Its bundle has gone."""
        self._kept.pop(id, None)


def _keys(state: State, id: str, document: Document) -> list[Key]:
    keys = [("container", id), ("snapshot", id), ("sandbox", id), ("image", document["image_id"])]
    with suppress(StackrError):
        name = parse_reference(document["config"].get("Image", "")).with_default_tag()
        keys.append(("image_name", str(name)))
    for mount in document["mounts"]:
        if mount["type"] == "volume":
            keys.append(("volume", mount["name"]))
    snapshot, sandbox = state.get("snapshot", id) or {}, state.get("sandbox", id) or {}
    for layers in (snapshot.get("layers", ()), *snapshot.get("mounted", ())):
        keys += [("layer", diff_id) for diff_id in layers]
    keys += [("network", endpoint["network_id"]) for endpoint in sandbox.get("endpoints", ())]
    return list(dict.fromkeys(keys))


def restore_records(config: EngineConfig, state: State) -> None:
    """Put back what the bundles know and the records do not; before anybody reads these."""
    live = dict(monitors(config))
    for id in bundle_ids(config):
        documents = _read(config.bundles_root / id / _FILE)
        stored = json.loads(documents.get(("container", id), "null"))
        found = state.get("container", id)
        if _is_newer(found) or (found is None and _is_newer(stored)):
            state.restore(documents)
            continue
        record, copy = _upgraded(found), _upgraded(stored)
        if record is None:
            what, record = "was lost", copy
        else:
            what, record = "is too old", _seen_running(record, copy, live.get(id), config)
        if record is not None:
            state.put("container", id, {VERSION_FIELD: CONTAINER.version, **record})
            state.restore(documents)
            state.note(f"container {id[:12]}: its record {what}: it is taken from its bundle")


def _seen_running(
    record: Document, copy: Document | None, monitor: int | None, config: EngineConfig
) -> Document | None:
    """The record of a container that runs, where it does not say so; None where it is right."""
    if monitor is None or (record["running"] or {}).get("monitor_pid") == monitor:
        return None
    if copy is not None and (copy["running"] or {}).get("monitor_pid") == monitor:
        running, state = copy["running"], copy["state"]
    elif record["intent"] != "start":  # one that was cut off is begun anew
        running, state = _told_by_monitor(config.bundles_root / record["id"], monitor, record)
    else:
        return None
    return {**record, "running": running, "state": state, "intent": ""} if running else None


def _told_by_monitor(bundle: Path, monitor: int, record: Document) -> tuple[Document, Document]:
    """The processes, and the state of a container that began with its pid file."""
    file = bundle / "pid"
    try:
        pid, started_ns = int(file.read_text()), file.stat().st_mtime_ns
    except (OSError, ValueError):
        return {}, {}
    running = Running(monitor, start_ticks(monitor), pid, start_ticks(pid), boot_id())
    state = {**record["state"], "status": "running", "started_ns": started_ns, "error": ""}
    return asdict(running), state


def _read(file: Path) -> dict[Key, str]:
    try:
        lines = list(read_lines(file.read_bytes()))
    except OSError:
        return {}
    return {(line[1], line[2]): line[3] for line in lines if line and line[1] and line[3]}


def is_readable(document: Document | None) -> TypeGuard[Document]:
    """Whether it is the record of a container, of a version that is known."""
    return _upgraded(document) is not None


def _upgraded(document: Document | None) -> Document | None:
    """A readable record in the form of today; None for any other."""
    try:
        upgraded = CONTAINER.upgraded("", document or {})
        CONTAINER.parse("", upgraded)
    except MALFORMED:
        return None
    return upgraded


def _is_newer(document: Document | None) -> bool:
    """Whether only a newer engine understands it."""
    try:
        CONTAINER.upgraded("", document or {})
    except NewerRecord:
        return True
    except ValueError:
        pass
    return False


def running_without_record(
    config: EngineConfig, is_known: Callable[[str], bool]
) -> dict[str, set[int]]:
    """The processes of containers that nobody knows, by ID."""
    found = {id: {pid} for id, pid in monitors(config) if not is_known(id)}
    cgroups = cgroup.detect()
    for id in cgroups.children(config.cgroup_parent):
        if len(id) == ID_LENGTH and not is_known(id):
            pids = cgroups.pids(f"{config.cgroup_parent}/{id}")
            if pids:
                found[id] = pids
    return found


def monitors(config: EngineConfig) -> Iterator[tuple[str, int]]:
    """The container and the process of each monitor of this engine."""
    root = os.fsencode(config.bundles_root) + b"/"
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"-b" not in argv or b"--full-attach" not in argv:
            continue
        bundle = argv[argv.index(b"-b") + 1]
        if bundle.startswith(root):
            yield os.fsdecode(bundle.removeprefix(root)), pid


def bundle_ids(config: EngineConfig) -> list[str]:
    try:
        return [name for name in os.listdir(config.bundles_root) if len(name) == ID_LENGTH]
    except (FileNotFoundError, NotADirectoryError):
        return []
