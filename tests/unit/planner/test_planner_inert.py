"""What the documentation calls without effect is so: the container made is the same."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackr.planner.desired.project import desired
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig
from stackr.runtime.types import NetworkConfig
from stackr.spec.load import load
from stackr.spec.session import LoadOptions
from stackr.spec.support import SUPPORT, State

PLAIN: dict[str, Any] = {
    "services": {
        "web": {
            "image": "app",
            "labels": {},
            "configs": ["c"],
            "secrets": ["s"],
            "deploy": {"restart_policy": {"condition": "any"}, "resources": {"reservations": {}}},
        }
    },
    "networks": {"default": {}},
    "configs": {"c": {"content": "c"}},
    "secrets": {"s": {"environment": "S"}},
}

VALUES: dict[str, Any] = {
    "configs.*.labels": {"a": "b"},
    "secrets.*.labels": {"a": "b"},
    "networks.*.attachable": True,
    "networks.*.ipam.options": {"a": "b"},
    "services.*.deploy.endpoint_mode": "dnsrr",
    "services.*.deploy.labels": {"a": "b"},
    "services.*.deploy.placement": {"constraints": ["node.role == manager"]},
    "services.*.deploy.resources.reservations.cpus": "0.5",
    "services.*.deploy.resources.reservations.generic_resources": [
        {"discrete_resource_spec": {"kind": "ssd", "value": 1}}
    ],
    "services.*.deploy.restart_policy.delay": "9s",
    "services.*.deploy.restart_policy.window": "9s",
    "services.*.pull_refresh_after": "9s",
    "version": "3.8",
}


def made_of(tree: dict[str, Any], folder: Path) -> tuple[ContainerConfig, NetworkConfig]:
    """The container but for the revision of the whole file, and the network."""
    (folder / "compose.yaml").write_text(yaml.safe_dump(tree))
    project = load(LoadOptions(), {"S": "secret"}, folder)
    wanted = desired(project)
    service = wanted.services["web"]
    config = service.config(1, {"web": ["demo-web-1"]}, image_id="")
    kept = {key: text for key, text in config.labels.items() if key != labels.REVISION}
    network = wanted.networks["default"].config
    return replace(config, labels=kept), replace(network, attachable=False, labels={})


def test_every_row_is_tried() -> None:
    assert set(VALUES) == {path for path, row in SUPPORT.items() if row.state is State.NO_EFFECT}


@pytest.mark.parametrize("path", VALUES)
def test_it_has_no_effect(path: str, tmp_path: Path) -> None:
    tree = copy.deepcopy(PLAIN)
    *above, last = path.split(".")
    branch = tree
    for name in above:
        branch = next(iter(branch.values())) if name == "*" else branch.setdefault(name, {})
    branch[last] = VALUES[path]
    assert made_of(tree, tmp_path) == made_of(PLAIN, tmp_path)
