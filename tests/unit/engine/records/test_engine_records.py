"""Stored records: each version is read, what is not known is kept, what is newer is left alone.

`golden/KIND.VERSION.json` is a record as an engine of that version stored it: those of version 1
were written by an engine that knew of no versions. A new version adds a file here, and the old ones
stay as they are.
"""

from __future__ import annotations

import ast
import copy
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest
from pydantic import BaseModel

from stackr.runtime import engine
from stackr.runtime.engine.build.cache import BUILD_CACHE
from stackr.runtime.engine.container.limits.groups import CGROUP
from stackr.runtime.engine.container.records import stored
from stackr.runtime.engine.container.records.record import CONTAINER
from stackr.runtime.engine.container.settings.spec import Config, EndpointSettings, HostConfig
from stackr.runtime.engine.image.store import IMAGE, IMAGE_NAME
from stackr.runtime.engine.lease.clock import LEASE_CLOCK
from stackr.runtime.engine.lease.record import LEASE
from stackr.runtime.engine.network.resting import ADDRESS
from stackr.runtime.engine.network.sandbox import SANDBOX
from stackr.runtime.engine.network.store import NETWORK
from stackr.runtime.engine.records import VERSION_FIELD, Kind, NewerRecord
from stackr.runtime.engine.snapshot.overlay import LAYER, SNAPSHOT
from stackr.runtime.engine.state import State
from stackr.runtime.engine.volume import VOLUME

KINDS: tuple[Kind[Any], ...] = (
    *(ADDRESS, BUILD_CACHE, CGROUP, CONTAINER, IMAGE, IMAGE_NAME, LAYER, LEASE, LEASE_CLOCK),
    *(NETWORK, SANDBOX, SNAPSHOT, VOLUME),
)
GOLDEN = Path(__file__).with_name("golden")


def golden(kind: Kind[Any], version: int) -> tuple[str, dict[str, Any]]:
    found = json.loads((GOLDEN / f"{kind.name}.{version}.json").read_text())
    return found["id"], found["document"]


VERSIONS = [(kind, version) for kind in KINDS for version in range(1, kind.version + 1)]


def plain(document: object) -> Any:
    """As it is once it was stored."""
    return json.loads(json.dumps(document))


def test_every_kind_is_here_with_a_name_of_its_own() -> None:
    found = []
    for path in Path(engine.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Kind":
                found.append(ast.literal_eval(node.args[0]))
    assert sorted(found) == sorted(kind.name for kind in KINDS)


@pytest.mark.parametrize(("kind", "version"), VERSIONS, ids=lambda v: getattr(v, "name", str(v)))
def test_each_version_is_read(kind: Kind[Any], version: int) -> None:
    id, document = golden(kind, version)
    before = copy.deepcopy(document)
    value, surplus = kind.read(id, document)
    assert document == before, "it was changed as it was read"
    assert not surplus, "everything in it is known"
    written = plain(kind.written(value))
    assert written == {VERSION_FIELD: kind.version, **plain(kind.upgraded(id, document))}
    assert plain(kind.written(kind.read(id, written)[0])) == written


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_newest_version_is_written_as_it_was(kind: Kind[Any]) -> None:
    """Else it has changed, and is a new version."""
    id, document = golden(kind, kind.version)
    assert plain(kind.written(kind.read(id, document)[0])) == {
        VERSION_FIELD: kind.version,
        **document,
    }


USERS_OWN = {
    *("labels", "Labels", "options", "ipam_options", "driver_opts", "aux_addresses", "oci"),
    *("ExposedPorts", "PortBindings"),
}


def with_unknown(value: Any, place: str) -> Any:
    """The value with a field more in each object whose keys are not the user's own."""
    if isinstance(value, list):
        return [with_unknown(item, place) for item in value]
    if not isinstance(value, dict):
        return value
    if place in USERS_OWN:
        return value
    inner = {key: with_unknown(each, key) for key, each in value.items()}
    return {**inner, "from_a_newer_engine": [1, {"a": "b"}]}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_unknown_fields_are_kept(kind: Kind[Any], tmp_path: Path) -> None:
    id, document = golden(kind, kind.version)
    by_name = {}
    if kind is CONTAINER:
        endpoints = document["endpoints"].items()
        by_name = {"endpoints": {name: with_unknown(each, name) for name, each in endpoints}}
    document = {**with_unknown(document, ""), **by_name}
    state = State.open(tmp_path / "state.db")
    state.put(kind.name, id, document)
    value = state.read(kind)[id]
    state.save(kind, id, value)
    assert state.get(kind.name, id) == {VERSION_FIELD: kind.version, **document}
    assert state.notes == []
    state.close()


def test_what_is_not_known_stays_with_its_own(tmp_path: Path) -> None:
    """The rest of the record changes, and it does not."""
    id, document = golden(CONTAINER, 1)
    document["state"]["newer"] = "state"
    document["host_config"]["Newer"] = {"of": "host"}
    document["mounts"][0]["newer"] = "mount"
    state = State.open(tmp_path / "state.db")
    state.put("container", id, document)
    container = state.read(CONTAINER)[id]
    container.name = "other"
    container.state.exit_code = 3
    first, *others = container.mounts
    container.mounts = (*others, first)
    container.running = None
    state.save(CONTAINER, id, container)
    stored = state.get("container", id)
    assert stored is not None
    assert (stored["name"], stored["state"]["exit_code"], stored["running"]) == ("other", 3, None)
    assert stored["state"]["newer"] == "state"
    assert stored["host_config"]["Newer"] == {"of": "host"}
    assert [mount.get("newer") for mount in stored["mounts"]] == [None] * len(others) + ["mount"]
    state.close()


def test_a_field_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    id, document = golden(CONTAINER, 1)
    state = State.open(tmp_path / "state.db")
    state.put("container", id, document)
    container = state.read(CONTAINER)[id]
    container.config.labels = {}
    container.endpoints = {}
    state.save(CONTAINER, id, container)
    stored = state.get("container", id)
    assert stored is not None
    assert "Labels" not in stored["config"]
    assert stored["endpoints"] == {}
    state.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_newer_record_is_told_and_not_changed(kind: Kind[Any], tmp_path: Path) -> None:
    id, document = golden(kind, kind.version)
    newer = {**document, VERSION_FIELD: kind.version + 1, "what": "nobody knows"}
    state = State.open(tmp_path / "state.db")
    state.put(kind.name, id, newer)
    value, _ = kind.read(id, document)
    assert state.read(kind) == {}
    (note,) = state.notes
    assert note.startswith(f"{kind.name} {id[:12] if len(id) == 64 else id}: its record is of")
    assert f"version {kind.version + 1}, and this stackr knows {kind.version}: it is left" in note
    with pytest.raises(NewerRecord):
        state.save(kind, id, value)
    with pytest.raises(NewerRecord):
        state.delete(kind.name, id)
    with pytest.raises(NewerRecord):
        state.read(kind, strict=True)
    state.close()
    state = State.open(tmp_path / "state.db")
    assert state.get(kind.name, id) == newer
    state.close()


@pytest.mark.parametrize("version", [0, -1, "2", None, 1.5, True, []])
def test_what_is_no_version_is_damage(version: object, tmp_path: Path) -> None:
    id, document = golden(NETWORK, 1)
    state = State.open(tmp_path / "state.db")
    state.put("network", id, {**document, VERSION_FIELD: version})
    assert state.read(NETWORK) == {}
    assert "its record is damaged and left out" in state.notes[-1]
    state.close()


def test_records_of_an_engine_that_knew_no_versions(tmp_path: Path) -> None:
    """Its database is of version 1; from now on, it would refuse it by name."""
    state = State.open(tmp_path / "state.db")
    for kind in KINDS:
        id, document = golden(kind, 1)
        state.put(kind.name, id, document)
    state.close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    state = State.open(tmp_path / "state.db")
    assert all(len(state.read(kind)) == 1 for kind in KINDS)
    assert state.notes == []
    state.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_sandbox_of_an_engine_without_leases_and_updates() -> None:
    id, document = golden(SANDBOX, 1)
    for key in ("project", "standby", "slot"):
        del document[key]
    record, _ = SANDBOX.read(id, document)
    assert (record.project, record.standby, record.slot) == ("", False, "")


def test_a_volumes_description_is_a_record() -> None:
    document = json.loads((GOLDEN / "description.1.json").read_text())
    assert VOLUME.read("golden_data", document)[0] == VOLUME.read(*golden(VOLUME, 1))[0]


@pytest.mark.parametrize(
    ("form", "model"),
    [
        (stored.StoredConfig, Config),
        (stored.StoredHostConfig, HostConfig),
        (stored.StoredEndpoint, EndpointSettings),
    ],
)
def test_bodies_and_stored_forms_change_together(form: type, model: type[BaseModel]) -> None:
    """Whoever renames a field of the one decides what the other is."""
    hints = get_type_hints(form)
    fields = {each.alias: each for each in model.model_fields.values()}
    assert hints.keys() == fields.keys()
    for key, hint in hints.items():
        nested = [each for each in _within(hint) if is_typeddict(each)]
        models = [each for each in _within(fields[key].annotation) if _is_model(each)]
        assert len(nested) == len(models), key
        for inner, inner_model in zip(nested, models, strict=True):
            test_bodies_and_stored_forms_change_together(inner, inner_model)


def _within(hint: Any) -> Iterator[Any]:
    """A type and those that it is made of."""
    yield hint
    for each in get_args(hint):
        yield from _within(each)


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)
