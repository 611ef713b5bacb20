"""Devices by the Container Device Interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import Internal, InvalidArgument
from stackr.runtime.engine.container.oci.cdi import apply_devices, device_names
from stackr.runtime.engine.container.settings.spec import DeviceRequest

_SPEC = """
cdiVersion: "0.6.0"
kind: example.com/dev
containerEdits:
  env: [ALL=1]
devices:
  - name: one
    containerEdits:
      env: [PATH=/own, DEVICE=one]
      deviceNodes: [{path: /dev/one, hostPath: /dev/null, permissions: rw}]
      mounts: [{hostPath: /lib, containerPath: /vendor, options: [ro, bind]}]
      hooks: [{hookName: createContainer, path: /bin/true, args: ["true"]}]
      additionalGids: [7]
"""


def _config() -> dict[str, Any]:
    return {
        "process": {"env": ["PATH=/bin", "A=b"], "user": {"additionalGids": [1]}},
        "mounts": [],
        "linux": {"devices": [], "resources": {"devices": []}},
    }


def test_a_device_is_put_into_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "dev.yaml").write_text(_SPEC)
    config = _config()
    apply_devices(config, ["example.com/dev=one"], [tmp_path, tmp_path / "none"])
    assert config["process"]["env"] == ["A=b", "ALL=1", "PATH=/own", "DEVICE=one"]
    assert config["process"]["user"]["additionalGids"] == [1, 7]
    (node,) = config["linux"]["devices"]
    assert (node["path"], node["type"], node["major"], node["minor"]) == ("/dev/one", "c", 1, 3)
    (rule,) = config["linux"]["resources"]["devices"]
    assert rule == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}
    assert config["mounts"][0]["destination"] == "/vendor"
    assert config["hooks"] == {"createContainer": [{"path": "/bin/true", "args": ["true"]}]}


def test_devices_that_are_not_known_or_malformed_are_told(tmp_path: Path) -> None:
    with pytest.raises(Internal) as caught:
        apply_devices(_config(), ["example.com/dev=two"], [tmp_path])
    assert "unresolvable CDI devices example.com/dev=two" in caught.value.message
    for text in ("[]", "{", json.dumps({"kind": "a/b", "devices": [7]})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InvalidArgument, match="CDI: "):
            apply_devices(_config(), ["example.com/dev=two"], [tmp_path])
    edits = {"deviceNodes": [{"hostPath": "/dev/null"}]}
    value = {"kind": "a/b", "devices": [{"name": "c", "containerEdits": edits}]}
    (tmp_path / "bad.json").write_text(json.dumps(value))
    with pytest.raises(InvalidArgument, match="malformed containerEdits"):
        apply_devices(_config(), ["a/b=c"], [tmp_path])


def test_requests_name_devices() -> None:
    asked = DeviceRequest(driver="cdi", device_ids=["a.com/b=c", "a.com/b=c"])
    gpus = DeviceRequest(count=-1, capabilities=[["gpu"]])
    two = DeviceRequest(count=2, capabilities=[["gpu", "compute"]])
    assert device_names([asked, gpus, two]) == [
        "a.com/b=c",
        "nvidia.com/gpu=all",
        "nvidia.com/gpu=0",
        "nvidia.com/gpu=1",
    ]
    with pytest.raises(InvalidArgument, match="invalid CDI device name a"):
        device_names([DeviceRequest(driver="cdi", device_ids=["a"])])
    with pytest.raises(InvalidArgument) as caught:
        device_names([DeviceRequest(driver="x", capabilities=[["tpu"]])])
    assert caught.value.message == ('could not select device driver "x" with capabilities: [[tpu]]')
