"""An engine that does not run: what its records say of it, and when they cannot say enough."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from planning import service, stack

from stackr.errors import NotFound, Unavailable
from stackr.planner.desired.project import desired
from stackr.planner.plan.options import UpOptions
from stackr.runtime.connect import connect
from stackr.runtime.engine.at_rest import at_rest
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.state import State
from stackr.runtime.protocol import Runtime, SupportsExec, SupportsLogs
from stackr.runtime.workloads import Workloads
from stackr.stack.planning import foresee_up

ID = "sha256:" + "a" * 64
IMAGE: dict[str, Any] = {
    "oci": {
        "created": "2026-01-02T03:04:05.123456789Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"k": "v"}, "Volumes": {"/data": {}}, "Env": ["A=b"]},
    },
    "size_bytes": 7,
    "last_tagged": "2026-01-02T03:04:06Z",
}
DIGEST = "sha256:" + "b" * 64


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig.at(tmp_path / "data", tmp_path / "exec")


def keep(config: EngineConfig, *records: tuple[str, str, dict[str, Any]]) -> None:
    """What an engine leaves when it ends."""
    config.data_root.mkdir(exist_ok=True)
    state = State.open(config.data_root / "state.db")
    for name in ("bridge", "host", "none"):
        state.put("network", name, {"spec": {"name": name}})
    for kind, id, body in records:
        state.put(kind, id, body)
    state.close()


def open_at_rest(config: EngineConfig) -> Runtime:
    environ = {
        "STACKR_DATA_ROOT": str(config.data_root),
        "STACKR_EXEC_ROOT": str(config.exec_root),
    }
    return asyncio.run(connect(None, environ, read_only=True))


def test_a_first_look_makes_nothing(config: EngineConfig) -> None:
    runtime = open_at_rest(config)
    assert runtime.capabilities.at_rest
    assert runtime.capabilities.handover
    assert not config.data_root.exists()
    assert not config.exec_root.exists()
    plan, _ = asyncio.run(foresee_up(runtime, desired(stack({"web": service()})), UpOptions()))
    assert plan.summary == {"create": 2, "pull": 1}


def test_images_are_what_the_records_say(config: EngineConfig) -> None:
    keep(
        config,
        ("image", ID, IMAGE),
        ("image_name", "docker.io/library/app:latest", {"image": ID}),
        ("image_name", f"docker.io/library/app@{DIGEST}", {"image": ID}),
    )
    runtime = open_at_rest(config)
    for name in ("app", "docker.io/library/app:latest", ID, f"app@{DIGEST}"):
        image = asyncio.run(runtime.inspect_image(name))
        assert (image.id, image.tags, image.digests) == (ID, ("app:latest",), (f"app@{DIGEST}",))
        assert (image.labels, image.volumes, image.size_bytes) == ({"k": "v"}, ("/data",), 7)
        assert 0 < image.created < image.tagged
    with pytest.raises(NotFound, match="No such image: other:latest"):
        asyncio.run(runtime.inspect_image("other"))
    plan, _ = asyncio.run(foresee_up(runtime, desired(stack({"web": service()})), UpOptions()))
    assert plan.summary == {"create": 2}


@pytest.mark.parametrize(
    "record",
    [
        ("container", "c", {}),
        ("volume", "v", {}),
        ("network", "n", {"spec": {"name": "demo_default"}}),
        ("image", ID, "damaged"),
        ("network", "n", {}),
    ],
)
def test_what_may_have_changed_meanwhile_only_an_engine_that_runs_can_tell(
    config: EngineConfig, record: tuple[str, str, Any]
) -> None:
    keep(config)
    assert at_rest(config) is not None
    keep(config, record)
    assert at_rest(config) is None


def test_records_that_cannot_be_read_are_none(config: EngineConfig) -> None:
    config.data_root.mkdir()
    (config.data_root / "state.db").write_bytes(b"no database" * 1000)
    assert at_rest(config) is None


def test_an_engine_that_has_the_records_open_is_left_alone(config: EngineConfig) -> None:
    keep(config)
    state = State.open(config.data_root / "state.db")
    try:
        assert at_rest(config) is None
    finally:
        state.close()
    assert at_rest(config) is not None


def test_what_it_cannot_do_now_it_refuses(config: EngineConfig) -> None:
    runtime = open_at_rest(config)
    with pytest.raises(Unavailable, match="it does not run") as refused:
        asyncio.run(runtime.remove_container("x"))
    assert refused.value.hint is not None
    assert isinstance(runtime, SupportsExec | SupportsLogs)
    assert not isinstance(runtime, Workloads)  # an engine of another kind
    asyncio.run(runtime.close())
