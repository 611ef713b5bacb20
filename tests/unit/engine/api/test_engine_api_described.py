"""Each parameter and field that the API describes for images, networks, volumes and the engine is
read by its call, or is listed here with the reason why not.

`described/calls.json` is what the Docker Engine API 1.56 says: by call, its query parameters and
headers, and the fields of its body.
"""

from __future__ import annotations

import ast
import importlib
import json
from functools import cache
from pathlib import Path

import pytest

from stackr.runtime.engine.api import absent
from stackr.runtime.engine.api.route import Router
from stackr.runtime.engine.api.routes import ROUTES
from stackr.runtime.engine.container.settings.spec import Config

CALLS = json.loads((Path(__file__).parent / "described" / "calls.json").read_text())
API = "stackr.runtime.engine.api"
HELPERS = {
    f"{API}.images": (f"{API}.credentials", f"{API}.image_archives"),
    f"{API}.networks": (),
}
"""Modules that read for the handlers of another."""

LISTED = {
    "GET /images/json": {
        "digests": "they are always there, as with dockerd since 1.43",
        "identity": "signatures are looked at by stores that keep them; this one does not",
    },
    "GET /networks/{id}": {"verbose": "is of networks of a swarm"},
    "PUT /volumes/{name}": {
        "version": "the call is for volumes of a cluster, and refused",
        "Spec": "the call is for volumes of a cluster, and refused",
    },
    "POST /commit": {
        "ArgsEscaped": "is of Windows",
        "NetworkDisabled": "is of a container, and no image says it",
    },
}
SAID_OTHERWISE = {"X-Registry-Auth": "x-registry-auth"}


@cache
def _words(module: str) -> frozenset[str]:
    """Every text in a module's code."""
    path = importlib.import_module(module).__file__
    assert path is not None
    tree = ast.parse(Path(path).read_text())
    return frozenset(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _known(call: str) -> frozenset[str] | None:
    """What a call may read; None for one that is refused as a whole."""
    method, _, path = call.partition(" ")
    found = Router(ROUTES).find(method, path.replace("{name}", "x").replace("{id}", "x"))
    assert found is not None, f"{call}: no such route"
    module = found[0].handler.__module__
    if module == absent.__name__:
        return None
    words = frozenset().union(*(_words(each) for each in (module, *HELPERS.get(module, ()))))
    fields = {field.alias or name for name, field in Config.model_fields.items()}
    return words | fields if call == "POST /commit" else words


@pytest.mark.parametrize("call", CALLS)
def test_what_is_described_is_read_or_listed(call: str) -> None:
    known = _known(call)
    if known is None:
        return
    described = [*CALLS[call]["parameters"], *CALLS[call]["body"]]
    names = {SAID_OTHERWISE.get(name, name.rpartition(".")[2]) for name in described}
    listed = LISTED.get(call, {})
    assert names - known - listed.keys() == set(), "neither read nor listed"
    assert set(listed) <= names, "listed, and not described"


def test_only_what_is_described_is_listed() -> None:
    assert LISTED.keys() <= CALLS.keys()
