"""An engine that meets records of a newer one leaves what they are of alone, and tells of it."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from container_engine import Engine, refused

from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.network.types import NetworkSpec
from stackr.runtime.engine.records import VERSION_FIELD
from stackr.runtime.engine.state import State

pytestmark = pytest.mark.root

Documents = dict[str, dict[str, Any]]


def _change(root: Path, change: Callable[[State], Documents]) -> Documents:
    state = State.open(root / "data" / "state.db")
    try:
        return change(state)
    finally:
        state.close()


def _make_newer(root: Path, kind: str, id: str) -> dict[str, Any]:
    """The record as it is then."""

    def change(state: State) -> Documents:
        newer = {**(state.get(kind, id) or {}), VERSION_FIELD: 99, "unheard": "of"}
        state.put(kind, id, newer)
        return {id: newer}

    return _change(root, change)[id]


def _put(root: Path, kind: str, id: str, document: dict[str, Any]) -> None:
    def change(state: State) -> Documents:
        state.put(kind, id, document)
        return {}

    _change(root, change)


def _stored(root: Path, kind: str) -> Documents:
    return _change(root, lambda state: state.all(kind))


def _rules(engine: Engine) -> str:
    argv = ["nft", "list", "table", "inet", engine.config.nft_table]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


async def _calls(engine: Engine, kind: str, id: str) -> list[Awaitable[object]]:
    """What would change what is left alone, or what others would have in its place."""
    containers, networks, volumes = engine.containers, engine.networks, engine.volumes
    if kind == "network":
        id = await engine.create("another", ["true"], NetworkMode="apart")
        return [
            networks.remove("apart"),
            networks.create(NetworkSpec(name="apart")),
            containers.start(id),
        ]
    if kind == "volume":
        return [volumes.remove("kept"), volumes.remove("kept", force=True), volumes.create("kept")]
    return [
        containers.remove("newer", force=True),
        containers.stop(id[:12]),
        engine.create("newer", ["true"]),
        networks.remove("apart"),
    ]


@pytest.mark.parametrize("kind", ["container", "sandbox", "network", "volume"])
async def test_what_is_newer_goes_on_untouched(root: Path, kind: str) -> None:
    engine = await Engine.open(root)
    network = await engine.networks.create(NetworkSpec(name="apart"))
    await engine.volumes.create("kept")
    mounts = [{"Type": "volume", "Source": "kept", "Target": "/data"}]
    id = await engine.create("newer", ["sleep", "100"], NetworkMode="apart", Mounts=mounts)
    await engine.containers.start(id)
    plain = await engine.create("plain", ["sleep", "100"], NetworkMode="bridge")
    await engine.containers.start(plain)
    running = engine.containers.get(id).running
    rules = _rules(engine)
    await engine.close()
    record = {"container": id, "sandbox": id, "network": network.id, "volume": "kept"}[kind]
    before = _stored(root, kind)[record]
    newer = _make_newer(root, kind, record)

    engine = await Engine.open(root)
    (note,) = engine.state.warnings
    assert note.startswith(f"{kind} {record[:12]}: its record is of version 99, and this stackr")
    assert engine.containers.get("plain").state.status is Status.RUNNING
    assert _rules(engine) == rules
    for call in await _calls(engine, kind, id):
        assert (await refused(call)).status in (403, 409), kind
    if kind == "network":
        await engine.containers.remove("another")
    await engine.close()
    assert _stored(root, kind)[record] == newer

    _put(root, kind, record, before)
    engine = await Engine.open(root)
    try:
        container = engine.containers.get("newer")
        assert (container.running, container.state.status) == (running, Status.RUNNING)
        assert await engine.execute(id, ["touch", "/data/file"]) == (0, "")
        assert engine.networks.get("apart") == network
        assert engine.state.warnings == []
    finally:
        await engine.clear()
        await engine.volumes.remove("kept")
        await engine.networks.remove("apart")
        await engine.close()
    await engine.assert_nothing_left()
