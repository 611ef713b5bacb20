"""An engine starts on what one of an earlier release has left: records of the first version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import pytest

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running, log_path
from stackr.runtime.engine.records import VERSION_FIELD
from stackr.runtime.engine.state import State

pytestmark = pytest.mark.root

_GOLDEN = Path(__file__).parents[2] / "unit/engine/records/golden"


def _golden(kind: str) -> tuple[str, dict[str, Any]]:
    found = json.loads((_GOLDEN / f"{kind}.1.json").read_text())
    return found["id"], found["document"]


def test_it_starts_on_records_of_the_first_release(tmp_path: Path) -> None:
    """And they are as they were, in today's form: nothing is lost, nobody is asked."""
    config = EngineConfig.at(tmp_path / "data", tmp_path / "run")
    config.data_root.mkdir()
    state = State.open(config.database)
    container_id, container = _golden("container")
    for kind in ("container", "network", "volume", "address"):
        id, document = _golden(kind)
        assert VERSION_FIELD not in document
        state.put(kind, id, document)
    state.close()
    ensure_running(config)
    client = docker.DockerClient(base_url=f"unix://{config.socket}", timeout=60)
    try:
        (found,) = client.containers.list(all=True)
        assert (found.id, found.name) == (container_id, container["name"])
        assert found.attrs["Config"]["Cmd"] == container["config"]["Cmd"]
        assert found.status == "exited", "its processes ended with another boot"
        network_id, network = _golden("network")
        assert client.networks.get(network_id).name == network["spec"]["name"]
        assert [volume.name for volume in client.volumes.list()] == [_golden("volume")[0]]
        assert "ERROR" not in log_path(config).read_text()
        found.remove(force=True)
        client.networks.get(network_id).remove()
    finally:
        client.close()
        control.stop(config, timeout_s=60)
    state = State.open(config.database)
    assert state.get("container", container_id) is None
    state.close()
