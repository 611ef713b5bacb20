"""No text makes the loader fail otherwise than with InvalidProject."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stackr.errors import InvalidProject
from stackr.spec.lint import lint
from stackr.spec.load import LoadOptions, load_tree, resolve, to_project
from stackr.spec.render import project_tree, service_hash, to_json
from stackr.spec.schema.validate import schema
from stackr.spec.yaml_text import to_yaml

_SERVICE = sorted(schema()["definitions"]["service"]["properties"])
_WORDS = st.sampled_from(
    ["a", "", "80:80", "./a:/b", "${A:-x}", "$", "10s", "1g", "service:a", "x=y", "yes", "*", "é"]
)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), _WORDS, st.text(max_size=8)
)
_KEYS = st.one_of(st.sampled_from([*_SERVICE, "x-a", "soft", "source", "target"]), _WORDS)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)
_SERVICES = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.dictionaries(st.sampled_from(_SERVICE), _VALUES, max_size=4).map(
        lambda attributes: {"image": "i", **attributes}
    ),
    max_size=2,
)
_SECTIONS = st.sampled_from(["networks", "volumes", "secrets", "configs", "models", "include"])
_TREES = st.tuples(_SERVICES, st.dictionaries(_SECTIONS, _VALUES, max_size=2)).map(
    lambda parts: {"services": parts[0], **parts[1]}
)


def _load(*texts: bytes, interpolate: bool = True) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, text in enumerate(texts):
            Path(folder, f"{number}.yaml").write_bytes(text)
            names.append(f"{number}.yaml")
        with contextlib.suppress(InvalidProject):
            options = LoadOptions(files=tuple(names), interpolate=interpolate)
            loaded = load_tree(options, {"A": "1"}, Path(folder))
            if interpolate:
                project = resolve(loaded)
                to_yaml(project_tree("x", project, yaml=True))
                to_json(project_tree("x", project, yaml=False))
                lint(loaded, project)
                for service in project["services"].values():
                    service_hash(service)
                to_project(project, loaded)


def _yaml(tree: Any) -> bytes:
    return json.dumps(tree, allow_nan=False, default=str).encode()


def _text(tree: Any) -> bytes:
    try:
        return _yaml(tree)
    except ValueError:
        return repr(tree).encode("utf-8", "replace")


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    _load(data)


@given(st.text(alphabet="ab:{}[],-&*!|>#'\"\n \t?%@$<", max_size=60))
def test_any_yaml_like_text(text: str) -> None:
    _load(text.encode())


@given(_TREES, st.booleans())
def test_any_tree(tree: Any, interpolate: bool) -> None:
    _load(_text(tree), interpolate=interpolate)


@given(_TREES, _TREES)
def test_any_override(base: Any, override: Any) -> None:
    _load(_text(base), _text(override))


@given(_SERVICES, _SERVICES, st.sampled_from(["a", "b", "c"]))
def test_any_extension(base: Any, services: Any, target: str) -> None:
    for service in services.values():
        service["extends"] = {"service": target, "file": "1.yaml"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "1.yaml").write_bytes(_text({"services": base}))
        Path(folder, "0.yaml").write_bytes(_text({"services": services, "include": ["1.yaml"]}))
        with contextlib.suppress(InvalidProject):
            loaded = load_tree(LoadOptions(files=("0.yaml",)), {}, Path(folder))
            to_project(resolve(loaded), loaded)
